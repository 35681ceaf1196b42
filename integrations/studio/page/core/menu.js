// A button that opens a small panel under itself. Escape and a click elsewhere close it and give the focus back.

import { html, useEffect, useRef, useState } from "./dom.js";

export function Menu({ label, children, class: look = "button", title, wide = false, stay = false }) {
  const [isOpen, setOpen] = useState(false);
  const [aside, setAside] = useState(0);
  const place = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const box = place.current.lastElementChild.getBoundingClientRect();
    const room = document.documentElement.clientWidth - 12;
    setAside(box.right > room ? Math.min(box.right - room, box.left - 12) : 0);
    const elsewhere = (event) => !place.current.contains(event.target) && setOpen(false);
    const escape = (event) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      place.current.firstElementChild.focus();
    };
    addEventListener("pointerdown", elsewhere);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("pointerdown", elsewhere);
      removeEventListener("keydown", escape);
    };
  }, [isOpen]);
  const chosen = (event) => {
    if (stay || !event.target.closest("button, a")) return;
    setOpen(false);
    if (place.current) place.current.firstElementChild.focus(); // a link may have left the view
  };
  return html`
    <div class="menu" ref=${place}>
      <button type="button" class=${look} title=${title} aria-expanded=${isOpen ? "true" : "false"}
        onClick=${() => setOpen(!isOpen)}>${label}</button>
      ${isOpen && html`<div class=${wide ? "panel wide" : "panel"} style=${{ marginLeft: `${-aside}px` }} onClick=${chosen}>${children}</div>`}
    </div>`;
}
