"""Secret values: where they are, how they are stored (a keyed hash) and shown (not at all).

Values are masked by place: a key of a job config, or ``hyperparameters`` and a label. Only text
from the service is searched for the values themselves.

The mask of a value that is not known names the variables that are not set, in place of a hash. It
is never sent, and never kept in the state."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from majobctl.job_config.fields import HYPERPARAMETERS
from majobctl.job_config.violations import Path, Violation
from majobctl.text import quoted

SHOWN = "(sensitive)"
MARK = "$sensitive"
NO_HASH = "hmac-sha256:no-state-yet"
_NO_MASK = {MARK: NO_HASH}
KEY_VARIABLE = "MAJOBCTL_STATE_KEY"
PUBLIC = "emulator"
"""The account of the emulator, which is in its documents."""

OWN_CREDENTIALS = frozenset(
    f"""OS_ACCESS_KEY OS_SECRET_KEY OS_SECURITY_TOKEN OS_PASSWORD OS_TOKEN OS_AUTH_TOKEN
    HUAWEICLOUD_SDK_AK HUAWEICLOUD_SDK_SK HUAWEICLOUD_SDK_SECURITY_TOKEN
    HW_ACCESS_KEY HW_SECRET_KEY HW_SECURITY_TOKEN HW_USER_PASSWORD HW_AUTH_TOKEN
    HW_ASSUME_ROLE_ID_TOKEN {KEY_VARIABLE}
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN PGPASSWORD TF_HTTP_PASSWORD
    GITHUB_TOKEN GH_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN SYSTEM_ACCESSTOKEN
    GITLAB_TOKEN CI_JOB_TOKEN CI_BUILD_TOKEN CI_JOB_JWT CI_JOB_JWT_V1 CI_JOB_JWT_V2
    CI_REPOSITORY_URL CI_REGISTRY_PASSWORD CI_DEPLOY_PASSWORD CI_DEPENDENCY_PROXY_PASSWORD
    CIRCLE_OIDC_TOKEN CIRCLE_OIDC_TOKEN_V2 BITBUCKET_STEP_OIDC_TOKEN BUILDKITE_AGENT_ACCESS_TOKEN
    """.split()
)
"""The variables of the environment with the credentials of majobctl, and of the CI it runs in."""


def is_own_credential(text: str, variable: str = "") -> bool:
    """Whether ``text``, the value of ``variable``, has a credential that no job may get."""
    own = (os.environ.get(name, "") for name in OWN_CREDENTIALS)
    return variable in OWN_CREDENTIALS or any(
        len(value) >= 8 and value != PUBLIC and value in text for value in own
    )


def new_salt() -> str:
    """A random salt for the hashes of a new state: 32 hex digits."""
    return os.urandom(16).hex()


def place_of(path: Path) -> Path:
    return path[: 2 if path[0] == HYPERPARAMETERS else 1] if path else ()


def is_masked(value: object) -> bool:
    """Whether ``value`` is what replaces a secret one."""
    return isinstance(value, dict) and len(value) == 1 and MARK in value


class UnsetText(str):
    """A string as written; its ``mask`` names the variables of the environment that it lacks."""

    __slots__ = ("mask",)
    mask: Mapping[str, list[str]]

    def __new__(cls, text: str, variables: Iterable[str]) -> UnsetText:
        found = super().__new__(cls, text)
        found.mask = {MARK: [*dict.fromkeys(variables)]}
        return found


def unset_variables(value: object) -> list[str]:
    """The variables that a value needs and that are not set, if that is what its mask says."""
    names = value[MARK] if isinstance(value, dict) and is_masked(value) else None
    return names if isinstance(names, list) else []


def unset_places(params: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The places of ``params`` whose values are not known, with each variable that they need."""
    for place in masked_places(params):
        yield from ((place, name) for name in unset_variables(value_at(params, place)))


def with_known(params: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """``params`` with what ``known`` has at the places whose values are not known."""
    for place, _ in [*unset_places(params)]:
        if (value := value_at(known, place)) is not None:
            params = with_value(params, place, value)
    return params


class Masker:
    """Makes the hashes of the job config ``name``, keyed by the salt of a state and by
    ``MAJOBCTL_STATE_KEY``. Without a salt there is no state to compare with, and all hashes are the
    same constant.

    A hash names the job config that it was made for, so that equal values of two have different
    hashes, and one that was renamed or moved is still known. Those of 0.1 do without a name.
    """

    def __init__(self, salt: str, name: str) -> None:
        self._salt, self._name = salt, name

    @cached_property
    def _key(self) -> bytes:
        # Most job configs have no secret.
        text = f"{self._salt}:{os.environ.get(KEY_VARIABLE, '')}"
        return text.encode(errors="surrogateescape")

    def masked(
        self, params: Mapping[str, Any], places: Iterable[Path], *known: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """``params`` with ``{"$sensitive": "hmac-sha256:..."}`` at each of ``places``. A hash that
        is there is made anew if one of ``known`` has its value."""
        result = params
        for place in places:
            # If the service has no table of labels, the secret could be anywhere in its text.
            at = place[:1] if isinstance(result.get(str(place[0])), str) else place
            if (value := value_at(result, at)) is not None:
                result = with_value(result, at, self._mask(at, value, known))
        return result

    def renewed(self, former: Mapping[str, Any], *known: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.masked(former, [*masked_places(former)], *known)

    def _is_anothers(self, mask: Mapping[str, Any]) -> bool:
        """Whether ``mask`` was made under another name, or under none."""
        return not str(mask[MARK]).startswith(f"hmac-sha256:{self._name}:")

    def hides(self, mask: Mapping[str, Any], place: Path, value: Any) -> bool:
        """Whether ``mask`` was made of ``value`` at ``place``, under whatever name."""
        return isinstance(mask[MARK], str) and self.made(mask[MARK], [place, value])

    def made(self, digest: str, value: Any) -> bool:
        """Whether ``digest`` is that of ``value``, under whatever name."""
        return digest == self.digest(value, digest.partition(":")[2].rpartition(":")[0])

    def digest(self, value: Any, name: str | None = None) -> str:
        """A keyed hash of JSON with secrets in it, to see later whether they have changed."""
        import hmac

        name = self._name if name is None else name
        content = json.dumps([name, value] if name else value, sort_keys=True).encode()
        digest = hmac.new(self._key, content, "sha256").hexdigest()
        return ":".join(filter(None, ("hmac-sha256", name, digest)))

    def _mask(self, place: Path, value: Any, known: Iterable[Mapping[str, Any]]) -> Any:
        if is_masked(value):
            values = [value_at(side, place) for side in known] if self._is_anothers(value) else []
            value = next((it for it in values if self.hides(value, place, it)), value)
        if is_masked(value):
            return value
        if not self._salt:
            return _NO_MASK
        return {MARK: self.digest([place, value])}


Maskers: TypeAlias = Callable[[str], Masker]


def without_hashes(value: Any, instead: object = None) -> Any:
    """``value`` with ``instead``, or its result, in place of each masked part: by default, what a
    Masker without a salt makes of it."""
    if is_masked(value):
        if callable(instead):
            return instead(value)
        return instead or (value if unset_variables(value) else _NO_MASK)
    if isinstance(value, Mapping):
        return {key: without_hashes(item, instead) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_hashes(item, instead) for item in value]
    return value


def masked_places(params: Mapping[str, Any]) -> Iterator[Path]:
    for key, value in params.items():
        if is_masked(value):
            yield (key,)
        elif key == HYPERPARAMETERS and isinstance(value, Mapping):
            yield from ((key, label) for label, item in value.items() if is_masked(item))


def named_places(params: Mapping[str, Any], names: Collection[str]) -> Iterator[Path]:
    """The places of ``params`` that ``names``, keys and labels, make secret."""
    for key, value in params.items() if names else ():
        if key == HYPERPARAMETERS and isinstance(value, Mapping) and not is_masked(value):
            is_whole = key in names
            yield from ((key, label) for label in value if is_whole or label in names)
        elif key in names or (key == HYPERPARAMETERS and isinstance(value, str)):
            yield (key,)


def suspect_places(params: Mapping[str, Any], *known: Mapping[str, Any]) -> Iterator[Path]:
    """The hyperparameters that look secret and are in none of ``known``: somebody else's."""
    labelled = params.get(HYPERPARAMETERS)
    for label in labelled if isinstance(labelled, Mapping) else ():
        place = (HYPERPARAMETERS, label)
        if all(value_at(side, place) is None for side in known) and looks_secret(label):
            yield place


def variable_for(label: str) -> str:
    """The variable of the environment that the secret at a key or a label may come from."""
    name = re.sub(r"\W", "_", label, flags=re.ASCII).upper()
    return f"JOB_{name}" if name in OWN_CREDENTIALS or not name[:1].isalpha() else name


def secret_warnings(params: Mapping[str, Any], hidden: Collection[Path]) -> Iterator[Violation]:
    """What is wrong with the secrets of a job config, whose ``hidden`` places are sensitive."""
    labelled = params.get(HYPERPARAMETERS, {})
    for label in _suspects(tuple(labelled)):
        place = (HYPERPARAMETERS, label)
        if place in hidden or PLAIN.fullmatch(labelled[label]):
            continue
        key = label if re.fullmatch(r"[\w-]+", label, re.ASCII) else quoted(label)
        yield Violation(
            place,
            f"{quoted(label)} looks like a secret, and its value is shown and stored in clear;"
            f' write {key} = "${{env.{variable_for(label)}}}", or sensitive = [{quoted(label)}]',
        )
    for at in hidden if hidden and not os.environ.get(KEY_VARIABLE) else ():
        value = value_at(params, at)
        if isinstance(value, str) and len(value) < (15 if value.isdigit() else 10):
            what = f"{'.'.join(map(str, at))} is sensitive, and so short that it can be found from"
            advice = f"its hash in the state; take a longer value, or set {KEY_VARIABLE}"
            yield Violation(at, f"{what} {advice}")


def value_at(params: Mapping[str, Any], place: Path) -> Any:
    """The value at ``place``; None if there is none."""
    value: Any = params
    for key in place:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def with_value(params: Mapping[str, Any], place: Path, value: Any) -> dict[str, Any]:
    """``params`` with ``value`` at ``place``, where there is one already."""
    key, *label = place
    return {**params, str(key): {**params[str(key)], label[0]: value} if label else value}


_SECRET_KEY = re.compile(
    r"ak|sk|secret|.*(accesskey|accesskeyid|secretkey|apikey|password|passwd|token)"
)
"""Matches a whole key in lower case without its separators, such as ``ossecretkey``."""

_SECRET_WORD = re.compile(
    r"(?:.*[-_. ])?(?:pass|pwd)|.*(?:passphrase|credentials?|privatekey|secrets?|password|passwd)"
)
"""Further names of hyperparameters, in lower case, that are no keys that must not be in TOML."""


@lru_cache(maxsize=1024)
def looks_secret(label: str) -> bool:
    """Whether ``label`` names what is probably a secret."""
    lower = label.lower()
    forms = (lower, re.sub(r"[-_. ]", "", lower))
    return any(_SECRET_KEY.fullmatch(form) or _SECRET_WORD.fullmatch(form) for form in forms)


@lru_cache(maxsize=1024)
def _suspects(labels: Sequence[str]) -> Sequence[str]:
    """Those that look secret. Cached: many job configs have equal labels."""
    return [label for label in labels if looks_secret(label)]


PLAIN = re.compile(r"true|false|[-+.\de]{0,6}", re.IGNORECASE)
"""No secret, whatever its label, such as that of ``max_token``."""


def secret_key_message(key: str) -> str | None:
    """Why ``key`` must not be in TOML; None if it may."""
    if not _SECRET_KEY.fullmatch(re.sub(r"[-_. ]", "", key.lower())):
        return None
    return (
        f"{quoted(key)} looks like a credential, and credentials do not belong in TOML; set it in"
        " the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and replace it if it was"
        " committed"
    )
