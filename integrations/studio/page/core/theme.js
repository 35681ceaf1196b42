// Light, dark, or as the system says: kept in this browser.

const PLACE = "steersearch-studio-theme";
const ORDER = ["auto", "light", "dark"];
let now = "auto";
try {
  now = localStorage.getItem(PLACE) || "auto";
} catch {
  // Without storage it is as the system says.
}
document.documentElement.dataset.theme = now;

export const theme = () => now;

export function nextTheme() {
  now = ORDER[(ORDER.indexOf(now) + 1) % ORDER.length];
  document.documentElement.dataset.theme = now;
  try {
    localStorage.setItem(PLACE, now);
  } catch {
    // It holds until the page is closed.
  }
}

// The colours of the page as a canvas needs them.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
