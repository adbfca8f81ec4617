"""One exchange over HTTP, with whatever service: proxies, certificates, deadlines and failures."""
