// Ten thousands of points on a canvas: drawn once per frame at most, found under the pointer by a grid.

const CELL = 48; // cells a side of the grid
const NEAR = 9; // CSS pixels

export function makeScatter(canvas, { onPoint, onChoose }) {
  let points = [];
  let paint = () => "#888";
  let rings = [];
  let asked = false;
  let image = null;
  let pixels = null;
  const inks = new Map();
  let grid = new Map();
  const view = { x: 0.5, y: 0.5, zoom: 1 };
  const context = canvas.getContext("2d");

  const size = () => Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94 * view.zoom;
  const toScreen = ([x, y]) => [
    canvas.clientWidth / 2 + (x - view.x) * size(), canvas.clientHeight / 2 + (y - view.y) * size()];
  const toPlane = (x, y) => [view.x + (x - canvas.clientWidth / 2) / size(), view.y + (y - canvas.clientHeight / 2) / size()];

  function draw() {
    asked = false;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    drawDots(scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    for (const { place, text, strong, stroke } of rings) {
      const [x, y] = toScreen(points[place]);
      context.beginPath();
      context.arc(x, y, strong ? 10 : 7, 0, 2 * Math.PI);
      context.strokeStyle = stroke;
      context.lineWidth = strong ? 3 : 2;
      context.stroke();
      if (!text) continue;
      context.font = `${strong ? "600 " : ""}12px system-ui`;
      context.fillStyle = stroke;
      context.fillText(text, x + 10, y - 7);
    }
  }

  // Points are written into the pixels themselves: without a graphics card rectangles take longer.
  function drawDots(scale) {
    const [width, height] = [canvas.width, canvas.height];
    if (!width || !height) return;
    if (!image || image.width !== width || image.height !== height) {
      image = context.createImageData(width, height);
      pixels = new Uint32Array(image.data.buffer);
    }
    pixels.fill(0);
    const dot = Math.max(1.6, Math.min(6, (points.length > 8000 ? 2 : points.length > 1500 ? 3 : 4) * Math.sqrt(view.zoom)));
    const side = Math.max(1, Math.round(dot * scale));
    const [reach, order] = [size() * scale, paint.order || null];
    const [left, top] = [width / 2 - view.x * reach - side / 2, height / 2 - view.y * reach - side / 2];
    for (let step = 0; step < points.length; step += 1) {
      const place = order ? order[step] : step;
      const x = Math.round(left + points[place][0] * reach);
      const y = Math.round(top + points[place][1] * reach);
      if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
      const ink = inkOf(paint(place));
      for (let row = y; row < y + side; row += 1) pixels.fill(ink, row * width + x, row * width + x + side);
    }
    context.putImageData(image, 0, 0);
  }

  // A colour of CSS as the four bytes of a pixel, in the order of this machine.
  function inkOf(text) {
    let ink = inks.get(text);
    if (ink === undefined) {
      context.fillStyle = text;
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(context.fillStyle.slice(at, at + 2), 16));
      ink = new Uint32Array(new Uint8ClampedArray([red, green, blue, 255]).buffer)[0];
      inks.set(text, ink);
    }
    return ink;
  }

  const redraw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(draw);
  };

  function nearest(x, y) {
    const [px, py] = toPlane(x, y);
    const reach = NEAR / size();
    let [best, distance] = [null, reach * reach];
    const cell = (value) => Math.max(0, Math.min(CELL - 1, Math.floor(value * CELL)));
    for (let row = cell(py - reach); row <= cell(py + reach); row += 1) {
      for (let column = cell(px - reach); column <= cell(px + reach); column += 1) {
        for (const place of grid.get(row * CELL + column) || []) {
          const far = (points[place][0] - px) ** 2 + (points[place][1] - py) ** 2;
          if (far < distance) [best, distance] = [place, far];
        }
      }
    }
    return best;
  }

  // Keeps what lies under a place where it is.
  function zoomAt(x, y, factor) {
    const before = toPlane(x, y);
    view.zoom = Math.max(0.8, Math.min(60, view.zoom * factor));
    const after = toPlane(x, y);
    view.x += before[0] - after[0];
    view.y += before[1] - after[1];
    redraw();
  }

  const held = new Map();
  let moved = 0;
  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, placeOf(event));
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = placeOf(event);
    const before = held.get(event.pointerId);
    if (!before) {
      onPoint(nearest(...now), now);
      return;
    }
    if (held.size === 2) {
      const [other] = [...held].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const length = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
      zoomAt((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, length(now) / Math.max(1, length(before)));
    } else {
      view.x -= (now[0] - before[0]) / size();
      view.y -= (now[1] - before[1]) / size();
      redraw();
    }
    moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    held.set(event.pointerId, now);
  });
  const release = (event) => {
    if (held.delete(event.pointerId) && moved < 5 && event.type === "pointerup") onChoose(nearest(...placeOf(event)));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => onPoint(null, null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(...placeOf(event), Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.08 / view.zoom;
    const [width, height] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way) {
      view.x += way[0];
      view.y += way[1];
    } else if (event.key === "+" || event.key === "=") zoomAt(width, height, 1.4);
    else if (event.key === "-") zoomAt(width, height, 1 / 1.4);
    else return;
    event.preventDefault();
    redraw();
  });
  const watch = new ResizeObserver(redraw);
  watch.observe(canvas);

  return {
    redraw,
    zoom: (factor) => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, factor),
    whole() {
      Object.assign(view, { x: 0.5, y: 0.5, zoom: 1 });
      redraw();
    },
    setPoints(given) {
      points = normalised(given);
      grid = new Map();
      points.forEach(([x, y], place) => {
        const cell = Math.min(CELL - 1, Math.floor(y * CELL)) * CELL + Math.min(CELL - 1, Math.floor(x * CELL));
        if (!grid.has(cell)) grid.set(cell, []);
        grid.get(cell).push(place);
      });
      redraw();
    },
    setPaint(given) {
      paint = given;
      redraw();
    },
    setRings(given) {
      rings = given;
      redraw();
    },
    screenOf: (place) => toScreen(points[place]),
    end: () => watch.disconnect(),
  };
}

// Into the square from 0 to 1, both axes on one scale.
function normalised(points) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of points) {
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  const width = Math.max(right - left, bottom - top) || 1;
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  return points.map(([x, y]) => [0.5 + (x - middleX) / width, 0.5 - (y - middleY) / width]);
}
