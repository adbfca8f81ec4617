
"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const search = document.getElementById("search");
  const file = document.getElementById("file");
  const count = document.getElementById("count");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const changes = [...document.querySelectorAll(".change")];
  const files = changes.map((change) => change.dataset.file);
  const actions = changes.map((change) => change.dataset.action);
  const PAUSE_MS = 120;

  // Only what the plan says is searched: no heads of columns, no words such as "update" or "not set".
  const SEARCHED = "summary code, .remark, tbody th, tbody td:not(.action, .unset)";
  const textOf = (change) =>
    [...change.querySelectorAll(SEARCHED)]
      .map((part) => part.textContent)
      .join("\n")
      .toLowerCase();
  let texts = null;

  function apply() {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (terms.length && !texts) texts = changes.map(textOf);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const found = Object.fromEntries(boxes.map((box) => [box.value, 0]));
    let shown = 0;
    changes.forEach((change, index) => {
      const matches =
        (!file.value || files[index] === file.value) &&
        terms.every((term) => texts[index].includes(term));
      if (matches) found[actions[index]] += 1;
      const isShown = matches && wanted.has(actions[index]);
      if (isShown) shown += 1;
      if (change.hidden === isShown) change.hidden = !isShown;
    });
    for (const box of boxes) {
      box.parentElement.querySelector(".number").textContent = found[box.value];
    }
    count.textContent = shown
      ? `Showing ${shown} of ${changes.length} changes.`
      : `None of the ${changes.length} changes matches.`;
  }

  function setOpen(isOpen) {
    for (const change of changes) if (!change.hidden) change.open = isOpen;
  }

  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, PAUSE_MS);
  });
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  // The fields are empty only after the event.
  form.addEventListener("reset", () => setTimeout(apply));
  document.getElementById("open").addEventListener("click", () => setOpen(true));
  document.getElementById("close").addEventListener("click", () => setOpen(false));

  // Browsers that do not know ::details-content print what is open.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = changes.filter((change) => !change.hidden && !change.open);
    for (const change of opened) change.open = true;
  });
  addEventListener("afterprint", () => {
    for (const change of opened) change.open = false;
    opened = [];
  });

  form.hidden = false;
  // A browser may have kept what stood in the fields before a reload.
  addEventListener("pageshow", apply);
})();
