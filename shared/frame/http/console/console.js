// The page itself: signing in, the tabs, light and dark.

import { BASE, PLATFORM, counted, forgetToken, get, hasToken, keepToken, tokenClaims } from "./api.js";
import { Audit } from "./audit.js";
import { DeadLetters } from "./dead-letters.js";
import { Overview } from "./overview.js";
import { Failure, html, link, many, render, useEffect, useRef, useState } from "./parts.js";
import { Processes } from "./processes.js";
import { ReadModels } from "./read-models.js";
import { Why } from "./why.js";

const VIEWS = {
  overview: ["Overview", Overview],
  why: ["Why", Why],
  "read-models": ["Read models", ReadModels],
  "dead-letters": ["Dead letters", DeadLetters],
  processes: ["Processes", Processes],
  audit: ["Audit", Audit],
};
const THEMES = ["auto", "light", "dark"];

const bringsToken = () => location.hash.startsWith("#token=");

/**
 * Take a token out of the fragment, which no server ever gets to see, and leave nothing of it in the address.
 * Whoever is signed in stays so: no link that somebody sent replaces the reader's token or session.
 */
function takeToken() {
  if (!bringsToken()) return;
  const given = new URLSearchParams(location.hash.slice(1));
  if (!PLATFORM && !hasToken()) keepToken(given.get("token"));
  history.replaceState(null, "", given.get("view") ? `#${given.get("view")}` : "#/overview");
}

function place() {
  const [path, parameters] = location.hash.slice(1).split("?");
  const view = path.replace(/^\//, "") || "overview";
  return { view, parameters: Object.fromEntries(new URLSearchParams(parameters || "")) };
}

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function App() {
  const [at, setAt] = useState(place());
  const [who, setWho] = useState({ state: "asking", problem: null });
  const [theme, setTheme] = useState(localStorage.getItem("tandem.console.theme") || "auto");
  const ask = async () => {
    try {
      await get("ops/outbox");
      setWho({ state: "in", problem: null });
    } catch (problem) {
      setWho({ state: problem.status === 401 ? "out" : problem.status === 403 ? "forbidden" : "in", problem });
    }
  };
  useEffect(() => {
    const moved = () => (bringsToken() ? location.reload() : setAt(place()));
    addEventListener("hashchange", moved);
    ask();
    return () => removeEventListener("hashchange", moved);
  }, []);
  const known = VIEWS[at.view];
  useEffect(() => { document.title = `${known ? known[0] : "No such view"} · Tandem console`; }, [at.view]);
  const choose = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("tandem.console.theme", next);
    showTheme(next);
    setTheme(next);
  };
  const leave = () => { forgetToken(); setWho({ state: "out", problem: null }); };
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("main").focus(); }}>Skip to the content</a>
    <header><strong class="brand"><img src="${BASE}/ops/console/icon.svg" alt="" width="24" height="24" /> Tandem</strong>
      <nav aria-label="views">${Object.entries(VIEWS).map(([name, [title]]) => html`<a href=${link(name)} aria-current=${at.view === name ? "page" : undefined}>${title}</a>`)}</nav>
      <span class="row">
        <button type="button" onClick=${choose} aria-label=${`colours: ${theme}`}>${{ auto: "◐", light: "☀", dark: "☾" }[theme]} ${theme}</button>
        ${hasToken() ? html`<button type="button" onClick=${leave}>Sign out</button>` : null}
      </span></header>
    <main id="main" tabindex="-1">${content(at, known, who, ask)}</main>
    <footer class="faint"><${Footer} /></footer>`;
}

function content(at, known, who, ask) {
  if (who.state === "asking") return html`<p>Asking the system…</p>`;
  if (who.state === "out") return html`<${SignIn} problem=${who.problem} ask=${ask} />`;
  if (who.state === "forbidden") return html`<h1>You are known, and may not operate the system</h1><${Failure} problem=${who.problem} retry=${ask} />`;
  if (!known) return html`<h1>There is no such view</h1><p><a href=${link("overview")}>Overview</a></p>`;
  return html`<${known[1]} key=${at.view} parameters=${at.parameters} theme=${document.documentElement.dataset.theme} />`;
}

/** In Azure the platform signs a browser in; on a laptop, and for whoever prefers it, a token is pasted. */
function SignIn({ problem, ask }) {
  const field = useRef(null);
  const back = encodeURIComponent(location.pathname + location.hash);
  return html`<section class="card signin"><h1>Sign in</h1>
    ${problem && problem.status !== 401 ? html`<${Failure} problem=${problem} />` : null}
    ${hasToken() ? html`<p role="alert">The token is not valid, or no more. It may have expired.</p>` : null}
    ${PLATFORM ? html`<p><a class="button primary" href=${`/.auth/login/aad?post_login_redirect_uri=${back}`}>Sign in with Microsoft</a></p>` : null}
    <p>On a laptop, <code>python3 dev.py console</code> opens this page signed in. Or paste a token with the app role <code>Ops</code>:</p>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); keepToken(field.current.value); ask(); }}>
      <label>Token <input ref=${field} type="password" autocomplete="off" required /></label><button type="submit" class="primary">Sign in</button></form>
    <p class="faint">It stays in this tab, and is forgotten with it.</p></section>`;
}

function Footer() {
  const [, tick] = useState(0);
  useEffect(() => { const timer = setInterval(() => tick((n) => n + 1), 10000); return () => clearInterval(timer); }, []);
  const minutes = Math.max((Date.now() - counted.since) / 60000, 1);
  const claims = tokenClaims();
  return html`${claims && claims.oid ? `Signed in as ${claims.oid}, ${(claims.roles || []).join(", ") || "without a role"}. ` : ""}This page has sent ${many(counted.requests, "request")}, ${(counted.requests / minutes).toFixed(0)} a minute; none while it is not seen. <a href=${`${BASE}/docs`}>API</a>`;
}

takeToken();
showTheme(localStorage.getItem("tandem.console.theme") || "auto");
render(html`<${App} />`, document.getElementById("console"));
