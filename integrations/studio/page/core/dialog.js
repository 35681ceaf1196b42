// The browser's own dialog: it keeps the focus inside, Escape closes it, and the focus goes back to where it was.

import { html, useEffect, useRef } from "./dom.js";

export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before && before.isConnected && before.focus();
  }, []);
  return html`
    <dialog ref=${box} aria-label=${title} onClose=${onClose} onClick=${(event) => event.target === box.current && box.current.close()}>
      <div class="dialog-inside">
        <div class="headline"><h2>${title}</h2>
          <button class="bare" aria-label="Close" onClick=${() => box.current.close()}>×</button></div>
        ${children}
      </div>
    </dialog>`;
}
