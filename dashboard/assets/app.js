// Keeps the page up to date. Without this file the page is a snapshot.
"use strict";

(function () {
  const live = document.getElementById("live");
  const at = document.getElementById("at");
  let source = null;
  let again = 0; // a timer

  function say(text, level) {
    live.textContent = text;
    live.className = "live " + level;
  }

  function open() {
    clearTimeout(again);
    if (source || document.hidden) return;
    source = new EventSource("events");
    source.addEventListener("frame", function (message) {
      const frame = JSON.parse(message.data);
      at.textContent = frame.at;
      for (const id of Object.keys(frame.html)) update(id, frame.html[id]);
      say("live", "on");
    });
    source.onerror = function () {
      say("not live", "off");
      if (source.readyState === EventSource.CLOSED) { // the server said no: ask again later
        close();
        again = setTimeout(open, 10000);
      }
    };
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  // update makes the section id look like html, which the server has escaped.
  function update(id, html) {
    const section = document.getElementById(id);
    const next = new DOMParser().parseFromString(html, "text/html").body;
    if (section) children(section, next);
  }

  // children makes the children of old equal to the children of next. It keeps elements where it
  // can, and rows by their data-key, so that a click or an open menu is not lost.
  function children(old, next) {
    const keyed = new Map();
    for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
    let here = old.firstChild;
    for (const want of Array.from(next.childNodes)) {
      const key = want.dataset && want.dataset.key;
      let have = key ? keyed.get(key) : here;
      if (!have || (!key && have.dataset && have.dataset.key) || have.nodeName !== want.nodeName) {
        old.insertBefore(want, here);
        continue;
      }
      if (have !== here) old.insertBefore(have, here);
      else here = here.nextSibling;
      keyed.delete(key);
      if (have.nodeType !== Node.ELEMENT_NODE) {
        if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      } else {
        attributes(have, want);
        children(have, want);
      }
    }
    while (here) {
      const rest = here.nextSibling;
      here.remove();
      here = rest;
    }
  }

  // attributes makes the attributes of old equal to the ones of next. A menu stays open.
  function attributes(old, next) {
    for (const a of Array.from(next.attributes)) {
      if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
    }
    for (const a of Array.from(old.attributes)) {
      if (a.name !== "open" && !next.hasAttribute(a.name)) old.removeAttribute(a.name);
    }
  }

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) {
      close();
      say("paused", "off");
    } else {
      open();
    }
  });
  open();
})();
