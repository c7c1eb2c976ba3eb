// Starts GraphiQL with fetchers for queries (POST), WebSocket (graphql-transport-ws) and Server-Sent
// Events. The browser's session is used; a header {"Authorization": "Bearer …"} in the Headers tab wins.
'use strict';

const endpoint = '/graphql';

const example = {
  version: '1.0',
  description: 'Looks at this machine and passes on how busy it is',
  nodes: [
    { id: 'host', type: 'context', config: { include: ['cpu', 'memory'] }, next: 'busy' },
    { id: 'busy', type: 'transform', config: { source_node: 'host', mapping: { cpu: 'system.cpu.percent', memory: 'system.memory.percent' } } },
  ],
};

const tabs = [
  {
    query: `# Check a draft; nothing is stored.
# Change a node's type and run it again.
mutation Validate($config: JSON!) {
  validatePipelineDefinition(input: { config: $config }) {
    valid
    errors { path code message nodeId }
    warnings { path code message nodeId }
  }
}`,
    variables: JSON.stringify({ config: example }, null, 2),
  },
  {
    query: `# Store the example and run it. The second time
# its name is taken, which does no harm.
mutation Execute($config: JSON!) {
  createPipelineDefinition(input: { name: "playground-example", config: $config }) {
    pipelineDefinition { name version }
    userErrors { code message field }
  }
  executePipelineDefinition(input: { name: "playground-example" }) {
    run { runId status }
    userErrors { code message field }
  }
}`,
    variables: JSON.stringify({ config: example }, null, 2),
  },
  {
    query: `# Follow a run. An empty runId stands for the run
# that was executed last in this browser tab.
# after: "" shows everything from its start.
subscription Follow($runId: ID!) {
  runProgress(runId: $runId, after: "") {
    __typename
    sequence
    cursor
    ... on RunStatusChanged { status }
    ... on StageStatusChanged { nodeId attempt status message }
    ... on StageOutput { nodeId kind text }
    ... on RunFinished { status run { durationMs } }
  }
}`,
    variables: JSON.stringify({ runId: '' }, null, 2),
  },
  {
    query: `# The newest open incidents, …
query OpenIncidents {
  incidents(first: 5, filter: { status: [OPEN] }) {
    nodes { id title severity firingCount alerts(first: 3) { nodes { name host } } }
  }
}

# … and to take one on. An empty id stands for the
# first incident that was shown last in this browser tab.
mutation Acknowledge($id: ID!) {
  acknowledgeIncident(input: { id: $id }) {
    incident { title status acknowledgedBy actions { kind actor createdAt } }
    userErrors { code message }
  }
}`,
    variables: JSON.stringify({ id: '' }, null, 2),
  },
  {
    query: `query Runs {
  runs(first: 10) {
    totalCount
    nodes {
      runId
      status
      definition { name }
      durationMs
      error
      stages { nodeId nodeType status durationMs skipReason }
    }
    pageInfo { hasNextPage endCursor }
  }
}`,
  },
];

function isSubscription(params, opts) {
  const operations = (opts.documentAST ? opts.documentAST.definitions : []).filter((d) => d.kind === 'OperationDefinition');
  const chosen = operations.find((o) => o.name && o.name.value === params.operationName) || operations[0];
  return Boolean(chosen) && chosen.operation === 'subscription';
}

async function post(params, headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json, application/json', ...headers },
    body: JSON.stringify(params),
  });
  const result = await response.json();
  const started = result.data && result.data.executePipelineDefinition && result.data.executePipelineDefinition.run;
  if (started) sessionStorage.setItem('penstock.run', started.runId);
  const shown = result.data && result.data.incidents && result.data.incidents.nodes && result.data.incidents.nodes[0];
  if (shown && shown.id) sessionStorage.setItem('penstock.incident', shown.id);
  return result;
}

function overSocket(params, headers) {
  return {
    subscribe(observer) {
      const url = new URL(endpoint, location.href);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      const socket = new WebSocket(url, 'graphql-transport-ws');
      let ended = false;
      const end = (tell) => {
        if (ended) return;
        ended = true;
        tell();
        socket.close(1000);
      };
      const send = (message) => socket.send(JSON.stringify(message));
      const authorization = headers.Authorization || headers.authorization;
      socket.onopen = () => send({ type: 'connection_init', payload: authorization ? { Authorization: authorization } : {} });
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        switch (message.type) {
          case 'connection_ack': return send({ id: '1', type: 'subscribe', payload: params });
          case 'ping': return send({ type: 'pong' });
          case 'next': return ended || observer.next(message.payload);
          case 'error': return end(() => observer.error({ errors: message.payload }));
          case 'complete': return end(() => observer.complete());
        }
      };
      socket.onclose = (event) => end(() => observer.error(new Error(`The socket was closed: ${event.code} ${event.reason}`)));
      return { unsubscribe: () => end(() => {}) };
    },
  };
}

async function* overEvents(params, headers, signal) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream', ...headers },
    body: JSON.stringify(params),
    signal,
  });
  if (!response.ok) {
    yield await response.json();
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split('\n\n');
    buffer = events.pop();
    for (const event of events) {
      if (event.startsWith('event: complete')) return;
      const data = event.match(/^data: (.*)$/m);
      if (data) yield JSON.parse(data[1]);
    }
  }
}

// gathered shows the newest 200 events of a stream together; GraphiQL alone would show the last one.
function gathered(observable) {
  return {
    subscribe(observer) {
      const events = [];
      return observable.subscribe({
        next(result) {
          events.push(result.errors ? result : result.data);
          if (events.length > 200) events.shift();
          observer.next({ events: [...events] });
        },
        error: (problem) => observer.error(problem),
        complete: () => observer.complete(),
      });
    },
  };
}

// asObservable lets GraphiQL's stop button end the request.
function asObservable(start) {
  return {
    subscribe(observer) {
      const stop = new AbortController();
      (async () => {
        try {
          for await (const result of start(stop.signal)) observer.next(result);
          observer.complete();
        } catch (error) {
          if (!stop.signal.aborted) observer.error(error);
        }
      })();
      return { unsubscribe: () => stop.abort() };
    },
  };
}

const stream = document.getElementById('stream');
stream.value = sessionStorage.getItem('penstock.stream') || 'ws';
stream.addEventListener('change', () => sessionStorage.setItem('penstock.stream', stream.value));

function fetcher(params, opts = {}) {
  const headers = opts.headers || {};
  for (const [name, key] of [['runId', 'penstock.run'], ['id', 'penstock.incident']]) {
    const last = sessionStorage.getItem(key);
    if (params.variables && params.variables[name] === '' && last) {
      params = { ...params, variables: { ...params.variables, [name]: last } };
    }
  }
  if (!isSubscription(params, opts)) return post(params, headers);
  return gathered(stream.value === 'sse' ? asObservable((signal) => overEvents(params, headers, signal)) : overSocket(params, headers));
}

ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, { fetcher, defaultTabs: tabs, defaultEditorToolsVisibility: true }),
);
