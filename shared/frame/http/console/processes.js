// Processes that are under way: what each waits for, since when, until when; and deadlines to move.

import { get, post, query } from "./api.js";
import { Confirm, Failure, Heading, Id, State, When, go, html, link, number, span, usePoll, useState } from "./parts.js";

const PAGE = 50;
const DAY = 86_400_000;

/** What a process is about: the one of its properties that is called so-and-so's id. */
const idOf = (process) => Object.entries(process).find(([name]) => name.endsWith("Id"))[1];

export const isOverdue = (process) => Boolean(process.deadline) && new Date(process.deadline.at) < Date.now();

/** The process that something goes through, in full: also one that has ended. */
export function ProcessOf({ path }) {
  const [asking, setAsking] = useState(false);
  const { data: process, problem, reload } = usePoll((signal) => get(path, signal), 10, [path]);
  if (problem) return problem.code === "process-not-found" ? null : html`<${Failure} problem=${problem} retry=${reload} />`;
  if (!process) return null;
  return html`<section class="card wide" aria-label="process"><div class="row"><h2>Its process</h2><span>${process.state}</span></div>
    <dl class="facts">
      ${process.endedAt ? html`<dt>Ended</dt><dd><${When} at=${process.endedAt} /></dd>` : html`<dt>Waits for</dt><dd>${process.waitsFor}, since <${When} at=${process.since} /></dd>
      <dt>Deadline</dt><dd><${Deadline} process=${process} ask=${() => setAsking(true)} /></dd>
      <dt>Next</dt><dd>${process.next.join(", ") || "–"}</dd>`}
      <dt>Steps</dt><dd><${Steps} steps=${process.steps} /></dd>
    </dl>
    ${asking ? html`<${Move} process=${process} close=${() => setAsking(false)} moved=${reload} />` : null}</section>`;
}

const Steps = ({ steps }) => html`<ol class="plain">${steps.map((step) => html`<li><${When} at=${step.at} /> ${step.what}</li>`)}</ol>`;

function Deadline({ process, ask }) {
  const { deadline } = process;
  if (!deadline) return html`<span class="faint">none</span>`;
  const left = (new Date(deadline.at) - Date.now()) / 1000;
  return html`<${When} at=${deadline.at} /> <${State} state=${isOverdue(process) ? "failing" : "fine"}>${isOverdue(process) ? `overdue for ${span(-left)}` : `in ${span(left)}`}<//>
      <button type="button" onClick=${ask}>Move…</button>`;
}

export function Processes({ parameters }) {
  const { state = "", cursor = "", overdue = "" } = parameters;
  const [asking, setAsking] = useState(null);
  const { data, problem, at, reload } = usePoll(
    (signal) => get(`ops/processes${query({ state, cursor, due: overdue ? new Date().toISOString() : "", take: PAGE })}`, signal), 15, [state, cursor, overdue]);
  const items = data ? data.items : [];
  const choose = (name) => (event) => go("processes", { ...parameters, cursor: "", [name]: event.target.type === "checkbox" ? (event.target.checked ? "yes" : "") : event.target.value }, true);
  const states = [...new Set([...(state ? [state] : []), ...items.map((each) => each.state)])].sort();
  if (problem && problem.status === 404) return html`<${Heading} title="Processes" quiet /><p>This system has no processes.</p>`;
  return html`<${Heading} title="Processes" at=${at} />
    <${Failure} problem=${problem} retry=${reload} />
    <form class="row filter" onSubmit=${(event) => event.preventDefault()}>
      <label>State <select value=${state} onChange=${choose("state")}><option value="">any</option>${states.map((each) => html`<option value=${each} selected=${each === state}>${each}</option>`)}</select></label>
      <label><input type="checkbox" checked=${Boolean(overdue)} onChange=${choose("overdue")} /> past their deadline</label>
    </form>
    ${data && !items.length ? html`<p class="banner fine"><${State} state="fine">${overdue ? "None is past its deadline." : "None is under way."}<//></p>` : null}
    ${items.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="processes"><table>
      <thead><tr><th scope="col">About</th><th scope="col">State</th><th scope="col">Waits for</th><th scope="col">Since</th><th scope="col">Deadline</th><th scope="col">Next</th><th scope="col">Steps</th></tr></thead>
      <tbody>${items.map((each) => html`<${Row} key=${idOf(each)} process=${each} ask=${() => setAsking(each)} />`)}</tbody></table></div>` : null}
    <p class="row">${cursor ? html`<a class="button" href=${link("processes", { ...parameters, cursor: "" })}>← From the beginning</a>` : null}
      ${data && data.next !== null ? html`<a class="button" href=${link("processes", { ...parameters, cursor: data.next })}>Later ones →</a>` : null}</p>
    ${asking ? html`<${Move} process=${asking} close=${() => setAsking(null)} moved=${reload} />` : null}`;
}

function Row({ process, ask }) {
  return html`<tr><td><${Id} value=${idOf(process)} /></td><td>${process.state}</td><td>${process.waitsFor}</td>
    <td><${When} at=${process.since} /></td>
    <td><${Deadline} process=${process} ask=${ask} /></td>
    <td>${process.next.join(", ") || "–"}</td>
    <td><details><summary>${number(process.steps.length)}</summary><${Steps} steps=${process.steps} /></details></td></tr>`;
}

/** A moment as the field for it writes it: in the reader's zone, to the minute. */
const local = (moment) => new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

function Move({ process, close, moved }) {
  const [at, setAt] = useState(local(new Date(Math.max(new Date(process.deadline.at), Date.now()) + DAY)));
  const chosen = new Date(at);
  const known = !Number.isNaN(chosen.getTime());
  return html`<${Confirm} title=${`Move the deadline of ${idOf(process)}`} phrase="move" verb="Move" close=${close}
      act=${async () => { await post(`ops/processes/${idOf(process)}/deadline`, { at: chosen.toISOString() }); moved(); }}>
    <p>It waits for ${process.deadline.waitsFor}. What the deadline does is done soon after it, if it still waits then; what is in the past is done at the next tick.</p>
    <label>New deadline, in your time zone <input name="at" type="datetime-local" required value=${at} onInput=${(event) => setAt(event.target.value)} /></label>
    <p class="faint">${known ? `${chosen.toISOString()} (UTC)` : "No such time."}</p><//>`;
}
