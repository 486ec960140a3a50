// The read models: generations, rebuilds, and what differs from the log.

import { get, post } from "./api.js";
import { isRunning, stateOf } from "./overview.js";
import { Confirm, Failure, Heading, Id, State, When, html, many, number, span, useEffect, usePoll, useState } from "./parts.js";

const STEPS = ["retiring", "clearing", "joining", "filling", "switching", "done"];

const ACTIONS = {
  rebuild: {
    verb: "Rebuild",
    title: "Make a new generation from the log",
    text: "What serves goes on serving. Twice the Cosmos DB requests until the other generation is retired; news comes up to 4.5 s late, once, at the switch.",
  },
  cancel: { verb: "Cancel the rebuild", title: "Give up the rebuild", text: "What serves goes on serving." },
  "roll-back": {
    verb: "Roll back",
    title: "Let the other generation serve",
    text: "In about 15 seconds. A second roll-back undoes the first. Replay dead letters first: what lies there may be missing from the generation before.",
    danger: true,
  },
  retire: {
    verb: "Retire",
    title: "Give the other generation up",
    text: "Events cost half as much then, and there is no way back to that generation; a rebuild makes a new one.",
    danger: true,
  },
  heal: { verb: "Heal", title: "Make what differs into what the log makes it", text: "The partitions of the last check, in every generation. Safe to repeat." },
};

export function ReadModels() {
  const [quick, setQuick] = useState(false);
  const { data, problem, at, reload } = usePoll(
    async (signal) => {
      const found = await get("ops/projections", signal);
      setQuick(found.items.some((view) => isRunning(view) || view.switchAt));
      return found;
    },
    quick ? 2 : 10,
    [quick],
  );
  return html`<${Heading} title="Read models" at=${at} />
    <${Failure} problem=${problem} retry=${reload} />
    ${data ? data.items.map((view) => html`<${View} key=${view.view} view=${view} reload=${reload} />`) : null}`;
}

function View({ view, reload }) {
  const [asking, setAsking] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(null);
  const [state, told] = stateOf(view);
  const running = isRunning(view);
  const done = async (action, body) => {
    setProblem(null);
    await post(`ops/projections/${encodeURIComponent(view.view)}/${action}`, body);
    reload();
  };
  const check = async () => {
    setBusy("check");
    try {
      await done("check", { sample: 200 });
    } catch (error) {
      setProblem(error);
    }
    setBusy(null);
  };
  const button = (action, unless) => html`<button type="button" class=${ACTIONS[action].danger ? "danger" : ""} disabled=${unless} onClick=${() => setAsking(action)}>${ACTIONS[action].verb}…</button>`;
  return html`<section class="card wide" aria-labelledby=${`view-${view.view}`}>
    <div class="row"><h2 id=${`view-${view.view}`}>${view.view}</h2><${State} state=${state} /></div>
    <p>${told}</p>
    <dl class="facts">
      <dt>Serving</dt><dd>${view.serving === null ? "cannot be read" : `generation ${view.serving}`}</dd>
      <dt>Beside it</dt><dd>${view.standby === null ? "none" : `generation ${view.standby}${running ? ", being filled" : ", kept up to date for a roll-back"}`}</dd>
      ${view.lag ? html`<dt>Log</dt><dd>up to event ${number(view.lag.newest)}; found applied up to ${number(view.lag.position)}</dd>
      <dt>Not shown yet</dt><dd>${many(view.lag.unapplied, "event")}${view.lag.oldestAge === null ? "" : `, the oldest for ${span(view.lag.oldestAge)}`}</dd>` : null}
      <dt>Checked</dt><dd>${view.drift ? html`<${When} at=${view.drift.checkedAt} />: ${many(view.drift.partitions, "partition")}, ${many(view.drift.found, "difference")}` : "not yet"}</dd>
    </dl>
    ${view.switchAt ? html`<${Countdown} at=${view.switchAt} />` : null}
    ${view.rebuild ? html`<${Rebuild} rebuild=${view.rebuild} />` : null}
    ${view.drift && view.drift.differences.length ? html`<${Differences} drift=${view.drift} />` : null}
    <${Failure} problem=${problem} />
    <p class="row actions">
      <button type="button" onClick=${check} disabled=${busy !== null}>${busy ? "Checking…" : "Check 200 partitions"}</button>
      ${button("heal", !(view.drift && view.drift.found))}
      ${running ? button("cancel", view.rebuild.step === "switching") : button("rebuild", Boolean(view.switchAt))}
      ${button("roll-back", view.standby === null || running || Boolean(view.switchAt))}
      ${button("retire", view.standby === null || running || Boolean(view.switchAt))}
    </p>
    ${asking ? html`<${Asking} action=${asking} view=${view} close=${() => setAsking(null)} done=${done} />` : null}
  </section>`;
}

function Asking({ action, view, close, done }) {
  const [insist, setInsist] = useState(false);
  const { title, text, verb, danger } = ACTIONS[action];
  return html`<${Confirm} title=${`${view.view}: ${title}`} phrase=${view.view} verb=${verb} danger=${danger} close=${close}
      act=${() => done(action, action === "roll-back" ? { evenIfIncomplete: insist } : undefined)}>
    <p>${text}</p>
    ${action === "roll-back" ? html`<label class="tick"><input type="checkbox" checked=${insist} onChange=${(event) => setInsist(event.target.checked)} /> even if it shows less than what serves</label>` : null}
  <//>`;
}

function Countdown({ at }) {
  const left = () => (new Date(at) - Date.now()) / 1000;
  const [seconds, setSeconds] = useState(left());
  useEffect(() => {
    const timer = setInterval(() => setSeconds(left()), 500);
    return () => clearInterval(timer);
  }, [at]);
  return html`<p class="banner rebuilding" role="timer"><span>${seconds > 0 ? html`The generations change places in ${Math.ceil(seconds)} s, at <${When} at=${at} />.` : "The generations change places now."}</span></p>`;
}

function Rebuild({ rebuild }) {
  const running = !["done", "cancelled"].includes(rebuild.step);
  const place = STEPS.indexOf(rebuild.step);
  return html`<div class="rebuild">
    <h3>${running ? "Rebuild under way" : `Latest rebuild: ${rebuild.step}`}</h3>
    ${running ? html`<ol class="steps">${STEPS.map((step, index) => html`<li class=${index < place ? "past" : index === place ? "now" : ""} aria-current=${index === place ? "step" : undefined}>${step}</li>`)}</ol>
    <progress max=${Math.max(rebuild.total, 1)} value=${rebuild.total ? rebuild.documents : undefined} aria-label="documents that are there"></progress>` : null}
    <p>Generation ${rebuild.generation}, begun <${When} at=${rebuild.startedAt} />, ${rebuild.step} since <${When} at=${rebuild.stepSince} />.</p>
    <p>${number(rebuild.documents)}${rebuild.total ? ` of ${number(rebuild.total)}` : ""} documents are there, ${number(rebuild.written)} written here, from ${number(rebuild.events)} events${rebuild.eventsPerSecond ? `, ${number(rebuild.eventsPerSecond)} a second` : ""}.</p>
  </div>`;
}

function Differences({ drift }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="differences"><table>
    <caption>Differences from the log (${number(drift.differences.length)} of ${number(drift.found)})</caption>
    <thead><tr><th scope="col">Document</th><th scope="col">Partition</th><th scope="col">What</th></tr></thead>
    <tbody>${drift.differences.map((each) => html`<tr><td><${Id} value=${each.documentId} /></td><td><${Id} value=${each.partitionKey} /></td><td>${each.what}</td></tr>`)}</tbody>
  </table></div>`;
}
