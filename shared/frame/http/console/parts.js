// What all views are made of: times, ids, states, errors, confirmation; and how a view asks again and again.

import { html, useCallback, useEffect, useRef, useState } from "./preact-htm.js";
import { query } from "./api.js";

export { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact-htm.js";

const SHOWN = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});
const WHOLE = new Intl.NumberFormat();

/** A view's own address: it can be sent to a colleague, who signs in for themselves. */
export const link = (view, parameters = {}) => `#/${view}${query(parameters)}`;

export function go(view, parameters = {}, replace = false) {
  const target = link(view, parameters);
  if (replace) {
    history.replaceState(null, "", target);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = target;
  }
}

export const number = (value) => (value === null || value === undefined ? "–" : WHOLE.format(value));

/** A number and its noun. */
export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** Seconds as people say them. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return "0 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function When({ at }) {
  if (!at) return html`<span class="faint">–</span>`;
  return html`<time datetime=${at} title=${`${at} (UTC)`}>${SHOWN.format(new Date(at))}</time>`;
}

/** An id: copied by its button, and explained by a click. */
export function Id({ value, why = true, short = true, what = "id" }) {
  const [copied, setCopied] = useState(false);
  if (!value) return html`<span class="faint">–</span>`;
  const text = String(value);
  const long = text.length > 40 || (!short && text.length > 20);
  const shown = short && /^[0-9a-f]{8}-/.test(text) ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<span class=${long ? "id long" : "id"}>
    ${why ? html`<a href=${link("why", { of: text })} title=${`Why: ${text}`}>${shown}</a>` : html`<span title=${text}>${shown}</span>`}
    <button type="button" class="copy" onClick=${copy} title=${copied ? "Copied" : "Copy"} aria-label=${copied ? "copied" : `copy ${what} ${text}`}>${copied ? "✓" : html`<svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true"><path d="M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1" fill="none" stroke="currentColor" stroke-width="1.5" /></svg>`}</button>
  </span>`;
}

const SIGNS = { fine: "●", behind: "▲", failing: "■", rebuilding: "↻", unknown: "?" };

/** A state in word, sign and colour. */
export const State = ({ state, children }) =>
  html`<span class=${`state ${state}`}><span aria-hidden="true">${SIGNS[state]}</span> ${children || state}</span>`;

export function Failure({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="failure" role="alert">
    <p><strong>${problem.status ? `${problem.status} ` : ""}${problem.title || "Error"}</strong>${problem.code ? html` <code>${problem.code}</code>` : null}: ${problem.detail || String(problem)}</p>
    ${(problem.errors || []).length ? html`<ul>${problem.errors.map((each) => html`<li><code>${each.pointer || "/"}</code> (${each.in}): ${each.detail}</li>`)}</ul>` : null}
    ${problem.hint ? html`<p>${problem.hint}</p>` : null}
    <p class="row">${problem.correlationId ? html`<span>Correlation id <${Id} value=${problem.correlationId} why=${false} short=${false} what="correlation id" /></span>` : null}
    ${retry ? html`<button type="button" onClick=${retry}>Try again</button>` : null}</p>
  </div>`;
}

/**
 * Load something now, and every so many seconds while the page is seen; what came last stays when the next look fails.
 * Failures are repeated more and more slowly.
 */
export function usePoll(load, seconds, deps) {
  const [state, setState] = useState({ data: null, problem: null, at: null });
  const again = useRef(() => {});
  useEffect(() => {
    let timer = null, failures = 0, over = false, running = false;
    const abort = new AbortController();
    setState((before) => ({ ...before, problem: null }));
    async function look() {
      clearTimeout(timer);
      if (running || over) return;
      running = true;
      try {
        const data = await load(abort.signal);
        failures = 0;
        if (!over) setState({ data, problem: null, at: new Date().toISOString() });
      } catch (problem) {
        failures += 1;
        if (!over && problem.name !== "AbortError") setState((before) => ({ ...before, problem }));
      }
      running = false;
      if (!over && seconds && !document.hidden) timer = setTimeout(look, 1000 * Math.min(seconds * 2 ** Math.min(failures, 4), 120));
    }
    const seen = () => { if (!document.hidden) look(); };
    again.current = look;
    document.addEventListener("visibilitychange", seen);
    look();
    return () => { over = true; abort.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
  }, deps);
  const reload = useCallback(() => again.current(), []);
  return { ...state, reload };
}

/** Ask before something is done: the reader types a phrase, and a reason where one is kept. */
export function Confirm({ title, phrase, verb, reason = false, danger = false, children, close, act }) {
  const box = useRef(null);
  const [typed, setTyped] = useState("");
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => { box.current.showModal(); }, []);
  const ready = typed === phrase && (!reason || why.trim()) && !busy;
  const submit = async (event) => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    try {
      await act(why.trim());
      close();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<dialog ref=${box} aria-labelledby="confirm-title" onClose=${close} onCancel=${(event) => busy && event.preventDefault()}>
    <form onSubmit=${submit}>
      <h2 id="confirm-title">${title}</h2>
      ${children}
      ${reason ? html`<label>Reason, which is recorded
        <input name="why" required maxlength="500" value=${why} onInput=${(event) => setWhy(event.target.value)} /></label>` : null}
      <label>Type <code>${phrase}</code> to confirm
        <input name="phrase" autocomplete="off" spellcheck="false" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></label>
      <${Failure} problem=${problem} />
      <p class="row end">
        <button type="button" onClick=${() => box.current.close()} disabled=${busy}>Back</button>
        <button type="submit" class=${danger ? "danger" : "primary"} disabled=${!ready}>${busy ? "…" : verb}</button>
      </p>
    </form>
  </dialog>`;
}

export function Heading({ title, at, quiet = false, children }) {
  return html`<div class="heading"><h1 tabindex="-1">${title}</h1>
    <p class="faint" aria-live="off">${quiet ? null : at ? html`as of <${When} at=${at} />` : "looking…"}</p>${children}</div>`;
}

/** JSON as text that can be read and copied. */
export const Json = ({ value }) => html`<pre tabindex="0">${JSON.stringify(value, null, 2)}</pre>`;
