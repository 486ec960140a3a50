// Who did what to the running system.

import { get, query } from "./api.js";
import { Failure, Heading, Id, Json, State, When, go, html, link, number, span, useMemo, usePoll } from "./parts.js";

const TAKES = [50, 100, 500];

export function Audit({ parameters }) {
  const { text = "", action = "", cursor = "" } = parameters;
  const take = TAKES.includes(Number(parameters.take)) ? Number(parameters.take) : TAKES[0];
  const { data, problem, at, reload } = usePoll((signal) => get(`ops/audit${query({ take, cursor })}`, signal), 30, [take, cursor]);
  const actions = useMemo(() => [...new Set(data ? data.items.map((each) => each.action) : [])].sort(), [data]);
  const items = useMemo(() => (data ? data.items.filter((each) => (!action || each.action === action)
    && (!text || JSON.stringify(each).toLowerCase().includes(text.toLowerCase()))) : []), [data, text, action]);
  const filter = (name) => (event) => go("audit", { ...parameters, [name]: event.target.value }, true);
  const turn = (to) => link("audit", { ...parameters, cursor: to });
  return html`<${Heading} title="Audit" at=${at} />
    <${Failure} problem=${problem} retry=${reload} />
    <form class="row filter" onSubmit=${(event) => event.preventDefault()}>
      <label>Action <select value=${action} onChange=${filter("action")}><option value="">any</option>${actions.map((each) => html`<option value=${each} selected=${each === action}>${each}</option>`)}</select></label>
      <label>Find <input type="search" value=${text} onInput=${filter("text")} placeholder="who, what, id" /></label>
      <label>On a page <select value=${take} onChange=${filter("take")}>${TAKES.map((each) => html`<option value=${each} selected=${each === take}>${each}</option>`)}</select></label>
    </form>
    ${data ? html`<p role="status" class="faint">${number(items.length)} of ${number(data.items.length)} on this page</p>` : null}
    ${items.length ? html`<${AuditTable} items=${items} />` : data ? html`<p>Nothing was done${data.items.length ? " that fits the filter" : " yet"}.</p>` : null}
    <p class="row">${cursor ? html`<a class="button" href=${turn("")}>← To the newest</a>` : null}
      ${data && data.next !== null ? html`<a class="button" href=${turn(data.next)}>Older ones →</a>` : null}</p>`;
}

const failed = (entry) => Boolean(entry.outcome && entry.outcome.details.error);

function outcome(entry) {
  if (!entry.outcome) return html`<${State} state="unknown">under way, or its process died<//>`;
  const took = (new Date(entry.outcome.at) - new Date(entry.at)) / 1000;
  if (failed(entry)) return html`<${State} state="failing">failed<//>`;
  return html`<${State} state="fine">done<//> <span class="faint">in ${span(took)}</span>`;
}

export const AuditTable = ({ items }) => html`<div class="scroll" tabindex="0" role="region" aria-label="what was done"><table>
  <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">To</th><th scope="col">Who</th><th scope="col">Outcome</th></tr></thead>
  <tbody>${items.map((each) => html`<tr key=${each.actionId}>
    <td><${When} at=${each.at} /></td>
    <td><details><summary>${each.action}</summary><p>Correlation <${Id} value=${each.correlationId} short=${false} /></p>
      <${Json} value=${{ asked: each.details, cameOfIt: each.outcome && each.outcome.details }} /></details></td>
    <td>${each.subject}</td><td><${Id} value=${each.actor} why=${false} what="actor" /></td><td>${outcome(each)}</td></tr>`)}</tbody>
</table></div>`;
