// A link to another view of the page: a real address, opened without loading the page again.

import { html } from "./dom.js";
import { linkTo, open } from "./store.js";

const plainClick = (event) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

export function Go({ to, children, ...more }) {
  const follow = (event) => {
    if (!plainClick(event)) return;
    event.preventDefault();
    open(to);
  };
  return html`<a href=${linkTo(to)} onClick=${follow} ...${more}>${children}</a>`;
}
