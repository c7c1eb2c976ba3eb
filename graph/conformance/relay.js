// What Relay's compiler is given.
import { graphql } from 'relay-runtime';

graphql`fragment App_run on PipelineRun @refetchable(queryName: "AppRunRefetchQuery") { runId status stages { id nodeId status } }`;
graphql`fragment App_runs on Query @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) @refetchable(queryName: "AppRunsPaginationQuery") {
  runs(first: $count, after: $cursor, filter: { status: [FAILED] }) @connection(key: "App_runs") { edges { node { id ...App_run } } } }`;
graphql`query AppQuery { ...App_runs viewer { name } }`;
graphql`mutation AppCancelMutation($input: CancelRunInput!) { cancelRun(input: $input) { run { ...App_run } userErrors { code message } } }`;
graphql`subscription AppFollowSubscription($runId: ID!, $after: String) { runProgress(runId: $runId, after: $after) { cursor ... on RunFinished { run { ...App_run } } } }`;
