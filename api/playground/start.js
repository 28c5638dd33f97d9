// Starts GraphiQL on the endpoint beside this page and connects it with the bar: examples, authorization and
// demo roles.
'use strict';

(() => {
  const AUTHORIZATION_KEY = 'smallrun.playground.authorization';
  const ROLE_KEY = 'smallrun.playground.role';
  const ROLES = [
    ['storefront', 'Storefront'],
    ['buyer', 'Buyer'],
    ['creator', 'Creator'],
    ['admin', 'Admin'],
  ];
  // Relative to the page, so that everything works under the path prefix of a proxy.
  const address = (path) => new URL(path, document.baseURI).href;
  const element = (id) => document.getElementById(id);

  // At most as wide as the editor on a laptop's screen.
  const INTRO = `# Welcome! This is the GraphQL API of this server.
#
# Run       Ctrl-Enter, or the arrow button
# Complete  Ctrl-Space
# Docs      the book on the left: every type
# Examples  opens one from the list at the top
#           in a new tab, with its variables
# Token     goes into the Authorization field;
#           sent with every request, forgotten
#           with this tab`;
  const INTRO_DEMO = `
# Act as    uses the token of a demo account;
#           an example switches to its own`;
  const FALLBACK_QUERY = 'query Hello {\n  __typename\n}\n';

  // --- Storage -------------------------------------------------------------------------------------------

  // The editors may contain a password or a token (a sign-in is an operation like any other), so their
  // content is kept for this browser tab only. Just the look of the page is remembered for longer. A browser
  // may refuse storage altogether; then nothing is remembered.
  const LASTING = new Set(
    ['theme', 'docExplorerFlex', 'editorFlex', 'secondaryEditorFlex', 'visiblePlugin'].map(
      (key) => `graphiql:${key}`,
    ),
  );

  function kept(area) {
    try {
      return window[area];
    } catch {
      return null;
    }
  }

  const session = kept('sessionStorage');
  const local = kept('localStorage');

  function remember(key, value) {
    try {
      session?.setItem(key, value);
    } catch {
      // Without storage only the bar's memory is lost.
    }
  }

  const storage = {
    getItem: (key) => (LASTING.has(key) ? local : session)?.getItem(key) ?? null,
    setItem: (key, value) => (LASTING.has(key) ? local : session)?.setItem(key, value),
    removeItem: (key) => (LASTING.has(key) ? local : session)?.removeItem(key),
    clear() {
      for (const area of [local, session]) {
        for (const key of Object.keys(area ?? {})) {
          if (key.startsWith('graphiql:')) area.removeItem(key);
        }
      }
    },
    get length() {
      return [local, session].reduce(
        (sum, area) => sum + Object.keys(area ?? {}).filter((key) => key.startsWith('graphiql:')).length,
        0,
      );
    },
  };

  // --- Authorization -------------------------------------------------------------------------------------

  const authorization = {
    input: element('authorization'),
    show: element('authorization-show'),
    note: element('authorization-note'),
    /** Called after each change. */
    changed: [],

    /** The bare token, however it was pasted: with `Bearer`, or as the whole header. */
    token() {
      return this.input.value.trim().replace(/^authorization:\s*/i, '').replace(/^bearer(\s+|$)/i, '');
    },

    /** A header can contain visible ASCII only; anything else was pasted by mistake. */
    valid() {
      return /^[\x21-\x7e]*$/.test(this.token());
    },

    headers() {
      const token = this.token();
      return token !== '' && this.valid() ? { authorization: `Bearer ${token}` } : {};
    },

    set(value) {
      this.input.value = value;
      this.update();
    },

    update() {
      const valid = this.valid();
      this.input.setAttribute('aria-invalid', String(!valid));
      this.note.textContent = valid
        ? ''
        : 'This is not a token and is not sent: a token has no spaces and no accented letters.';
      remember(AUTHORIZATION_KEY, this.input.value);
      for (const changed of this.changed) changed();
    },

    start() {
      this.input.value = session?.getItem(AUTHORIZATION_KEY) ?? '';
      this.input.addEventListener('input', () => {
        remember(ROLE_KEY, '');
        this.update();
      });
      this.show.addEventListener('click', () => {
        const shown = this.input.type === 'password';
        this.input.type = shown ? 'text' : 'password';
        this.show.textContent = shown ? 'Hide' : 'Show';
        this.show.setAttribute('aria-pressed', String(shown));
      });
      this.update();
    },
  };

  // --- Requests ------------------------------------------------------------------------------------------

  /** An error answer for GraphiQL, when the server's answer is not GraphQL. */
  function failure(message) {
    const init = { headers: { 'content-type': 'application/json' } };
    return new Response(JSON.stringify({ errors: [{ message }] }), init);
  }

  async function send(init, headers) {
    let response;
    try {
      response = await fetch(address('graphql'), {
        ...init,
        credentials: 'same-origin',
        headers: {
          accept: 'application/graphql-response+json, application/json;q=0.9',
          ...headers,
          ...init.headers,
        },
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      return failure(`The server did not answer (${error.message}). Is it still running?`);
    }
    const type = (response.headers.get('content-type') ?? '').split(';')[0].trim();
    if (/^application\/([\w.-]+\+)?json$/.test(type)) return response;
    const text = (await response.text()).trim().slice(0, 300);
    const detail = text === '' ? '' : `: ${text}`;
    return failure(`HTTP ${response.status} ${response.statusText}`.trim() + detail);
  }

  /** Yields the results of a subscription from a stream of events. `signal` ends it. */
  async function* results(parameters, signal) {
    const init = { method: 'POST', body: JSON.stringify(parameters), signal, credentials: 'same-origin' };
    const headers = {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...authorization.headers(),
    };
    const problem = (message) => ({ errors: [{ message }] });
    try {
      const response = await fetch(address('graphql'), { ...init, headers });
      if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
        const text = (await response.text()).trim();
        try {
          yield JSON.parse(text);
        } catch {
          yield problem(`HTTP ${response.status}: ${text.slice(0, 300)}`);
        }
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (text + value).split('\n\n');
        text = blocks.pop();
        for (const block of blocks) {
          const [event, data] = block.split('\n');
          if (event === 'event: complete') return;
          if (event === 'event: next') yield JSON.parse(data.slice('data: '.length));
        }
      }
      yield problem('The server ended the stream. Run the subscription again.');
    } catch (error) {
      if (!signal.aborted) {
        yield problem(`The stream broke off (${error.message}). Is the server still running?`);
      }
    }
  }

  /** The stream as GraphiQL needs it: stopping it ends the request at once, even while no events arrive. */
  function stream(parameters) {
    const stop = new AbortController();
    const all = results(parameters, stop.signal);
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => all.next(),
      return() {
        stop.abort();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** Whether the operation to run is a subscription. */
  function isSubscription(document, name) {
    const operations = (document?.definitions ?? []).filter(({ kind }) => kind === 'OperationDefinition');
    const chosen = name ? operations.find((operation) => operation.name?.value === name) : operations[0];
    return chosen?.operation === 'subscription';
  }

  function fetcher() {
    const url = address('graphql');
    const asViewer = (_url, init) => send(init, authorization.headers());
    // The documentation needs no token where introspection is open, and must not fail for a stale token.
    // Where introspection is restricted, the token decides.
    const asAnyone = GraphiQL.createFetcher({
      url,
      fetch: (_url, init) => send(init, {}),
      enableIncrementalDelivery: false,
    });
    const withToken = GraphiQL.createFetcher({ url, fetch: asViewer, enableIncrementalDelivery: false });
    const once = GraphiQL.createFetcher({
      url,
      fetch: asViewer,
      enableIncrementalDelivery: false,
      schemaFetcher: async (parameters, options) => {
        const open = await asAnyone(parameters, options);
        return open?.data?.__schema || authorization.token() === '' ? open : withToken(parameters, options);
      },
    });
    return (parameters, options) =>
      isSubscription(options?.documentAST, parameters.operationName)
        ? stream(parameters)
        : once(parameters, options);
  }

  // --- GraphiQL ------------------------------------------------------------------------------------------

  /** The functions of GraphiQL that the bar uses, once it is loaded: `open(query, text)` and `refresh()`. */
  const editor = {};

  /** Renders nothing. It is mounted inside GraphiQL, where hooks work, and passes functions to the bar. */
  function Bridge({ variables }) {
    const { useEffect, useRef } = React;
    const { addTab, tabs, queryEditor, variableEditor, setOperationName } =
      GraphiQL.React.useEditorContext({ nonNull: true });
    const { introspect, schema } = GraphiQL.React.useSchemaStore();
    const waiting = useRef(null);
    const first = useRef(true);

    editor.open = (query, text) => {
      waiting.current = { query, text, count: tabs.length + 1 };
      addTab();
    };
    editor.refresh = () => {
      if (!schema) introspect();
    };

    // A new tab is filled after GraphiQL has created it and put its empty query into the editors.
    useEffect(() => {
      if (!queryEditor || !variableEditor || waiting.current?.count !== tabs.length) return;
      const { query, text } = waiting.current;
      waiting.current = null;
      variableEditor.setValue(text);
      queryEditor.setValue(query);
      // GraphiQL finds the name by itself a moment later, but running at once must not use the old name.
      const named = /^\s*(?:query|mutation|subscription)\s+(\w+)/m.exec(query);
      if (named) setOperationName(named[1]);
      queryEditor.setCursor(0, 0);
      queryEditor.focus();
    }, [tabs.length, queryEditor, variableEditor, setOperationName]);

    // GraphiQL shows the query of the first tab, but not its variables.
    useEffect(() => {
      if (!variableEditor || !first.current) return;
      first.current = false;
      if (variables !== '' && variableEditor.getValue() === '') variableEditor.setValue(variables);
    }, [variableEditor, variables]);

    return null;
  }

  function startEditor(chosen, demo) {
    const isFirst = storage.getItem('graphiql:tabState') === null;
    const { variables } = chosen;
    const query = `${INTRO}${demo ? INTRO_DEMO : ''}\n\n${chosen.query}`;
    const root = element('graphiql');
    root.textContent = '';
    ReactDOM.createRoot(root).render(
      React.createElement(
        GraphiQL,
        {
          fetcher: fetcher(),
          storage,
          defaultTabs: [{ query, variables: variables || null }],
          // An empty query for tabs that the user adds.
          defaultQuery: '\n',
          defaultEditorToolsVisibility: 'variables',
          shouldPersistHeaders: false,
          inputValueDeprecation: true,
          schemaDescription: true,
        },
        React.createElement(
          GraphiQL.Logo,
          null,
          React.createElement(Bridge, { variables: isFirst ? variables : '' }),
        ),
      ),
    );
  }

  // --- Examples ------------------------------------------------------------------------------------------

  /** `crypto.randomUUID` exists in secure contexts only, and a playground on a local network is none. */
  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }

  const MILLIS = { m: 60_000, h: 3_600_000, d: 86_400_000 };
  const PREPARED_WITHIN_MILLIS = 10_000;

  /** The value of a placeholder; undefined or null if it has none. */
  function meaning(name, data) {
    if (name === 'uuid') return uuid();
    if (name === 'UUID') return uuid().toUpperCase();
    const later = /^in:(\d+)([mhd])$/.exec(name);
    if (later) {
      const millis = Date.now() + Number(later[1]) * MILLIS[later[2]];
      return new Date(millis).toISOString().replace(/\.\d+/, '');
    }
    return name.split('.').reduce((value, key) => value?.[key], data);
  }

  /**
   * Fills the placeholders of a text. A text of a single placeholder becomes the value with its type. A
   * placeholder without a value stays and is added to `missing`.
   */
  function filledText(text, data, missing) {
    const value = (as, name) => {
      const found = meaning(name, data) ?? null;
      if (found === null) missing.add(as);
      return found ?? as;
    };
    const alone = /^\{\{([\w.:]+)\}\}$/.exec(text);
    if (alone) return value(...alone);
    return text.replace(/\{\{([\w.:]+)\}\}/g, (as, name) => {
      const found = value(as, name);
      return typeof found === 'object' ? JSON.stringify(found) : String(found);
    });
  }

  function filled(value, data, missing) {
    if (typeof value === 'string') return filledText(value, data, missing);
    if (Array.isArray(value)) return value.map((each) => filled(each, data, missing));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, data, missing)]));
  }

  async function ask(query) {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify({ query }) };
    if (AbortSignal.timeout) init.signal = AbortSignal.timeout(PREPARED_WITHIN_MILLIS);
    try {
      return await (await send(init, authorization.headers())).json();
    } catch (error) {
      return { errors: [{ message: `The answer of the server could not be read (${error.message}).` }] };
    }
  }

  /** Wraps a text into comment lines that fit into the editor on a laptop's screen. */
  function comment(text) {
    const lines = [''];
    for (const word of text.split(/\s+/)) {
      if (lines.at(-1).length + word.length > 48) lines.push('');
      lines.push(`${lines.pop()} ${word}`);
    }
    return lines.map((line) => `#${line}\n`).join('');
  }

  /** The query and the variables of an example, after asking the server for the placeholders' values. */
  async function prepared(example) {
    const data = {};
    const missing = new Set();
    let refused = '';
    for (const query of example.prepare) {
      const text = filledText(query, data, missing);
      if (missing.size > 0) break;
      const answer = await ask(text);
      if (answer.errors) {
        refused = answer.errors[0]?.message ?? 'The server gave no reason.';
        break;
      }
      Object.assign(data, answer.data);
    }
    const variables =
      example.variables === null
        ? ''
        : JSON.stringify(filled(JSON.parse(example.variables), data, missing), null, 2);
    if (refused === '' && missing.size === 0) return { query: example.query, variables };
    const why =
      refused === ''
        ? `There is no value for ${[...missing].join(', ')} now.`
        : `The server answered: ${refused}`;
    const note =
      `NOT READY TO RUN: some variables could not be filled in. ${why} ` +
      'Read below what this example needs, then open it again.';
    return { query: `${comment(note)}\n${example.query}`, variables };
  }

  function startExamples(examples, actAs) {
    const select = element('examples');
    for (const [role, label] of ROLES) {
      const ofRole = examples.filter((example) => example.role === role);
      if (ofRole.length === 0) continue;
      const group = document.createElement('optgroup');
      group.label = label;
      for (const example of ofRole) group.append(new Option(example.title, example.name));
      select.append(group);
    }
    select.disabled = examples.length === 0;
    let last;
    select.addEventListener('change', async () => {
      const example = examples.find(({ name }) => name === select.value);
      select.value = '';
      if (!example || !editor.open) return;
      actAs(example.role);
      // If the user chooses another example meanwhile, only the last one is opened.
      last = example;
      const { query, variables } = await prepared(example);
      if (last !== example) return;
      last = undefined;
      editor.open(query, variables);
    });
  }

  // --- Demo roles ----------------------------------------------------------------------------------------

  /** Shows the role buttons and returns the function by which an example switches to its role. */
  function startRoles(tokens) {
    const known = ROLES.filter(([role]) => tokens[role]);
    if (known.length === 0) return () => {};
    const choices = [['', 'Public', ''], ...known.map(([role, label]) => [role, label, tokens[role]])];
    const take = (role, token) => {
      remember(ROLE_KEY, role);
      authorization.set(token);
    };
    const buttons = choices.map(([role, label, token]) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = label;
      button.addEventListener('click', () => take(role, token));
      return button;
    });
    element('roles-buttons').append(...buttons);
    element('roles').hidden = false;
    const mark = () => {
      choices.forEach(([, , token], index) => {
        buttons[index].setAttribute('aria-pressed', String(authorization.token() === token));
      });
    };
    authorization.changed.push(mark);
    // A demo that was created anew has other tokens for the same roles.
    const role = session?.getItem(ROLE_KEY);
    if (role && tokens[role]) take(role, tokens[role]);
    mark();
    return (role) => {
      // A token that the user has entered is kept.
      const isOurs = choices.some(([, , token]) => token === authorization.token());
      if (isOurs && tokens[role]) take(role, tokens[role]);
    };
  }

  // --- Start ---------------------------------------------------------------------------------------------

  async function json(path, otherwise) {
    try {
      const response = await fetch(address(path), { headers: { accept: 'application/json' } });
      return response.ok ? await response.json() : otherwise;
    } catch {
      return otherwise;
    }
  }

  async function start() {
    authorization.start();
    if (!window.React || !window.ReactDOM || !window.GraphiQL) {
      element('graphiql').innerHTML =
        '<p class="message">The editor could not be loaded. Reload the page. If that does not help, ' +
        'a proxy in front of the server may be blocking its scripts.</p>';
      return;
    }
    const [examples, demo] = await Promise.all([
      json('playground/examples.json', []),
      json('playground/demo.json', { demo: false }),
    ]);
    const actAs = startRoles(demo.demo ? demo.tokens : {});
    startExamples(examples, actAs);
    const chosen = examples.find((example) => example.default);
    startEditor(chosen ? await prepared(chosen) : { query: FALLBACK_QUERY, variables: '' }, demo.demo);
    let asked;
    authorization.changed.push(() => {
      clearTimeout(asked);
      asked = setTimeout(() => editor.refresh?.(), 400);
    });
  }

  start();
})();
