// What the page has seen while it was open, for at most an hour, and how that looks. Nothing else keeps it.

import { html, useEffect, useRef } from "./parts.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const HOUR = 3600;
const MOST = 720;

/** Rows of {at, ...numbers}, oldest first. They live as long as the tab. */
export const seen = [];

export function remember(row) {
  seen.push(row);
  while (seen.length > MOST || seen[0].at < row.at - HOUR) seen.shift();
}

/** What of the time is shown: all that was seen, and five minutes at least. */
function shown(rows) {
  const last = rows.length ? rows.at(-1).at : Date.now() / 1000;
  return [Math.min(rows.length ? rows[0].at : last, last - 300), last];
}

/** A chart of one or more of the numbers; `series` is [{name, of: row => number | null, colour}]. */
export function Chart({ title, rows, series, unit }) {
  const place = useRef(null);
  const chart = useRef(null);
  const current = useRef(rows);
  current.current = rows;
  const colours = getComputedStyle(document.documentElement);
  const data = [rows.map((row) => row.at), ...series.map((each) => rows.map(each.of))];
  useEffect(() => {
    const ink = colours.getPropertyValue("--faint");
    const rule = colours.getPropertyValue("--rule");
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "11px system-ui" };
    const options = {
      width: Math.max(place.current.clientWidth, 200),
      height: 124,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { range: () => shown(current.current) },
        y: { range: (_u, _low, high) => [0, Math.max(high * 1.15 || 0, 1)] },
      },
      axes: [{ ...axis, space: 70, size: 28, values: (_u, values) => values.map((value) => CLOCK.format(value * 1000)) }, { ...axis, size: 62, values: (_u, values) => values.map((value) => unit(value)) }],
      series: [{}, ...series.map((each) => {
        const colour = colours.getPropertyValue(each.colour);
        return { label: each.name, stroke: colour, width: 2, spanGaps: true, points: { show: rows.length < 2 } };
      })],
    };
    chart.current = new uPlot(options, data, place.current); // eslint-disable-line no-undef
    const sized = new ResizeObserver(() => chart.current.setSize({ width: Math.max(place.current.clientWidth, 200), height: 124 }));
    sized.observe(place.current);
    return () => { sized.disconnect(); chart.current.destroy(); };
  }, [document.documentElement.dataset.theme, matchMedia("(prefers-color-scheme: dark)").matches]);
  useEffect(() => { if (chart.current) chart.current.setData(data); });
  const last = (of) => { const values = rows.map(of).filter((value) => value !== null); return values.length ? unit(values.at(-1)) : "–"; };
  const told = series.map((each) => `${each.name} ${last(each.of)}`).join(", ");
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> ${series.map((each) => html`<span class="key"><i class=${each.colour.slice(2)}></i>${each.name} ${last(each.of)}</span>`)}</figcaption>
    <div ref=${place} role="img" aria-label=${`${title}, now: ${told}`}></div>
  </figure>`;
}
