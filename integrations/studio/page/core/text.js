// Texts and numbers as a person may see them. Texts of documents go into text nodes and nowhere else.

// What would hide, or turn the text around it: control characters, marks of direction, spaces without width.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// Returns a text of the same length in code points: what cannot be seen becomes a sign that can.
export const visible = (text) =>
  String(text ?? "").replace(UNSEEN, (sign) => {
    const code = sign.codePointAt(0);
    return code < 32 ? String.fromCodePoint(0x2400 + code) : code === 127 ? "\u2421" : "\ufffd";
  });

// Offsets of the server count code points; those of a JavaScript string count UTF-16 units. Returns a function
// from one to the other, which costs nothing for texts without rare characters.
export function unitsOf(text) {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (at) => at;
  const places = [0];
  let units = 0;
  for (const sign of text) places.push((units += sign.length));
  return (at) => places[Math.min(at, places.length - 1)];
}

export const oneLine = (text, most = 120) => {
  const line = visible(text).replace(/\s+/g, " ").trim();
  return line.length > most ? `${[...line].slice(0, most - 1).join("")}…` : line;
};

export const fixed = (value, digits = 2) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);
export const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
export const whole = (count) => Math.round(count).toLocaleString("en-US").replaceAll(",", "\u2009");
export const counted = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;

export const featureName = (feature) => visible(feature.label || feature.guess || `f${feature.latent}`);
