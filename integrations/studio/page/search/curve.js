// What a strength does to this query: how much of the concept, the topic and the plain ten is in the first ten results.

import { newestOnly, post } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/dom.js";
import { STRONGEST } from "../core/state.js";
import { changeConcept, model, useModel } from "../core/store.js";
import { percent, signed } from "../core/text.js";
import { colour, theme } from "../core/theme.js";

const LINES = [
  { name: "concept", title: "Concept", colour: "tint0", dash: [] },
  { name: "topic", title: "Topic kept", colour: "text", dash: [5, 3] },
  { name: "overlap", title: "Same as plain", colour: "minus", dash: [2, 2] },
];

export function Curve({ id, at, now }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const query = useModel((held) => held.state.query);
  const view = useModel((held) => held.state.view);
  const ask = useRef(newestOnly(async (index) => {
    try {
      setFound(await post("api/curve", { state: model.state, index }));
      setProblem(null);
    } catch (error) {
      setProblem(error.message);
    }
  }));
  useEffect(() => {
    if (query.trim()) ask.current(at);
  }, [query, view, id, at]);
  if (problem) return html`<p class="problem" role="alert">${problem}</p>`;
  if (!query.trim()) return html`<p class="hint">Type a query to see its curve.</p>`;
  if (!found) return html`<p class="hint" role="status">Searching at several strengths …</p>`;
  return html`<${Plot} points=${found.points} now=${now} choose=${(strength) => changeConcept(id, { strength })} />`;
}

function Plot({ points, now, choose }) {
  const place = useRef(null);
  const plot = useRef(null);
  const present = useRef(now);
  const colours = useModel(theme);
  present.current = now;
  useEffect(() => {
    let gone = false;
    (async () => {
      const { default: UPlot } = await import("../vendor/uplot.js");
      if (gone) return;
      const data = [points.map((point) => point.strength), ...LINES.map((line) => points.map((point) => point[line.name]))];
      const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
      const options = {
        width: place.current.clientWidth, height: 150, legend: { show: false }, padding: [8, 10, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { time: false, range: [-STRONGEST, STRONGEST] }, y: { range: [0, 1.02] } },
        axes: [{ ...axis, size: 24, values: (_, ticks) => ticks.map((tick) => (tick ? signed(tick, tick % 1 ? 1 : 0) : "0")) },
          { ...axis, size: 40, values: (_, ticks) => ticks.map((tick) => `${Math.round(100 * tick)} %`) }],
        series: [{}, ...LINES.map((line) => ({ label: line.title, stroke: colour(line.colour), width: 2, dash: line.dash, points: { show: false } }))],
        hooks: { draw: [(own) => drawNow(own, present.current)] },
      };
      plot.current = new UPlot(options, data, place.current);
      plot.current.over.addEventListener("click", () => {
        const { left } = plot.current.cursor;
        if (left >= 0) choose(Math.round(plot.current.posToVal(left, "x") * 20) / 20);
      });
    })();
    return () => {
      gone = true;
      if (plot.current) plot.current.destroy();
      plot.current = null;
    };
  }, [points, colours]);
  useEffect(() => plot.current && plot.current.redraw(false), [now]);
  const near = points.reduce((a, b) => (Math.abs(b.strength - now) < Math.abs(a.strength - now) ? b : a));
  return html`
    <figure class="curve">
      <div ref=${place} aria-hidden="true"></div>
      <figcaption>
        <ul>${LINES.map((line) => html`<li key=${line.name} class=${`line ${line.name}`}><i aria-hidden="true"></i>${line.title} <b>${percent(near[line.name])}</b></li>`)}</ul>
        <p class="quiet">Of the first ten, at ${signed(near.strength, 1)}. Click to take a strength.</p>
      </figcaption>
    </figure>`;
}

function drawNow(plot, strength) {
  const x = plot.valToPos(strength, "x", true);
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour("accent");
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}
