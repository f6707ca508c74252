// Brings the marked parts of a page up to date. Without script, pages reload by themselves or by hand.
"use strict";
(() => {
  const body = document.body;

  // A part that somebody is working in stays as it is.
  const busy = (part) => {
    const focus = document.activeElement;
    if (focus && focus !== body && part.contains(focus) && focus.closest("form")) return true;
    return [...part.querySelectorAll("input, select, textarea")].some((field) => {
      if (field.type === "hidden") return false;
      if (field.type === "checkbox") return field.checked !== field.defaultChecked;
      if (field.tagName === "SELECT")
        return [...field.options].some((option) => option.selected && !option.defaultSelected && option.index > 0);
      return field.value !== field.defaultValue;
    });
  };

  const opened = (part) => [...part.querySelectorAll("details")].map((details) => details.open);

  // What the server sent last, by part: opening a detail changes the page, but not this.
  const last = new Map();
  for (const part of document.querySelectorAll("[data-live]")) last.set(part, part.innerHTML);
  let running = false;
  let again = false;
  // Whether a part is older than what the server has.
  let passed = false;
  const refresh = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      passed = false;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(part.id);
        const html = next && next.innerHTML;
        if (!next || html === last.get(part)) continue;
        if (busy(part)) { passed = true; continue; }
        const open = opened(part);
        part.replaceChildren(...next.childNodes);
        last.set(part, html);
        part.querySelectorAll("details").forEach((details, index) => { if (open[index]) details.open = true; });
      }
    } catch (_) {
      // The gateway restarts or the network is away: the next turn tries again.
    } finally {
      running = false;
      if (again) { again = false; refresh(); }
    }
  };

  if (body.dataset.poll) {
    setInterval(() => { if (!document.hidden) refresh(); }, Number(body.dataset.poll) * 1000);
  }

  // A browser has few connections to one gateway, so only pages that somebody sees keep one open.
  let events = null;
  let slow = 0;
  let over = false;
  const close = () => {
    clearTimeout(slow);
    if (events) events.close();
    events = null;
  };
  const open = () => {
    if (events || over || document.hidden) return;
    events = new EventSource(body.dataset.events);
    events.onmessage = (event) => {
      // Behind its end there is nothing to tell; a browser would ask again and again.
      over = ["Closed", "Cancelled", "Expired", "Erased"].includes(JSON.parse(event.data).state);
      if (over) close();
      refresh();
    };
    // A stream that is refused is not opened again by itself: the page asks now and then, and is led to the login
    // if that is what is missing.
    events.onerror = () => {
      if (!events || events.readyState !== EventSource.CLOSED) return;
      close();
      slow = setTimeout(() => { refresh(); open(); }, 10000);
    };
  };
  if (body.dataset.events) {
    open();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { close(); return; }
      refresh();
      open();
    });
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); open(); } });
  }

  // What somebody was working in was passed over: when they leave it, or give it up, it is brought up to date.
  const settle = () => { if (passed) setTimeout(refresh, 300); };
  document.addEventListener("focusout", settle);
  document.addEventListener("change", settle);
})();
