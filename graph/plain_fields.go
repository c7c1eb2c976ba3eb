package graph

import (
	"bytes"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"penstock/db"
)

// runFields are the fields of PipelineRun that need no more than the record.
var runFields = map[string]plainField[db.Run]{
	"__typename": {nil, func(b []byte, _ *db.Run) []byte { return append(b, `"PipelineRun"`...) }},

	"id":      {nil, func(b []byte, r *db.Run) []byte { return appendText(b, runNode.id(r.ID)) }},
	"runId":   {nil, func(b []byte, r *db.Run) []byte { return appendText(b, r.ID) }},
	"traceId": {[]string{"trace_id"}, func(b []byte, r *db.Run) []byte { return appendText(b, r.TraceID) }},
	"status": {[]string{"status"}, func(b []byte, r *db.Run) []byte {
		return appendText(b, marshalNRunStatus2penstockᚋdbᚐRunStatus[r.Status])
	}},
	"source":      {[]string{"source"}, func(b []byte, r *db.Run) []byte { return appendText(b, r.Source) }},
	"environment": {[]string{"environment"}, func(b []byte, r *db.Run) []byte { return appendText(b, r.Environment) }},
	"trigger": {[]string{"trigger_type"}, func(b []byte, r *db.Run) []byte {
		return appendText(b, marshalNRunTrigger2penstockᚋdbᚐTrigger[r.Trigger])
	}},
	"definitionVersion": {[]string{"definition_version"}, func(b []byte, r *db.Run) []byte { return strconv.AppendInt(b, int64(r.DefinitionVersion), 10) }},
	"rerunFrom":         {[]string{"rerun_from"}, func(b []byte, r *db.Run) []byte { return appendTextOrNull(b, r.RerunFrom) }},
	"createdBy":         {[]string{"created_by"}, func(b []byte, r *db.Run) []byte { return appendText(b, r.CreatedBy) }},
	"createdAt":         {nil, func(b []byte, r *db.Run) []byte { return appendDateTime(b, r.CreatedAt) }},
	"startedAt":         {[]string{"started_at"}, func(b []byte, r *db.Run) []byte { return appendDateTime(b, r.StartedAt) }},
	"finishedAt":        {[]string{"finished_at"}, func(b []byte, r *db.Run) []byte { return appendDateTime(b, r.FinishedAt) }},
	"durationMs":        {[]string{"started_at", "finished_at"}, func(b []byte, r *db.Run) []byte { return appendDuration(b, r.StartedAt, r.FinishedAt) }},
	"error":             {[]string{"error"}, func(b []byte, r *db.Run) []byte { return appendTextOrNull(b, r.Error) }},
	"scheduledAt":       {[]string{"scheduled_at"}, func(b []byte, r *db.Run) []byte { return appendDateTime(b, r.ScheduledAt) }},
}

// stageFields are all fields of StageExecution.
var stageFields = map[string]plainField[db.StageExecution]{
	"__typename": {append: func(b []byte, _ *db.StageExecution) []byte { return append(b, `"StageExecution"`...) }},

	"id":       {append: func(b []byte, s *db.StageExecution) []byte { return appendText(b, stageNode.id(stageKey(s))) }},
	"nodeId":   {append: func(b []byte, s *db.StageExecution) []byte { return appendText(b, s.NodeID) }},
	"nodeType": {append: func(b []byte, s *db.StageExecution) []byte { return appendText(b, s.NodeType) }},
	"attempt":  {append: func(b []byte, s *db.StageExecution) []byte { return strconv.AppendInt(b, int64(s.Attempt), 10) }},
	"status": {append: func(b []byte, s *db.StageExecution) []byte {
		return appendText(b, marshalNStageStatus2penstockᚋdbᚐStageStatus[s.Status])
	}},
	"output": {append: func(b []byte, s *db.StageExecution) []byte { return appendMarshaled(b, MarshalJSON(s.Output)) }},
	"errors": {append: func(b []byte, s *db.StageExecution) []byte {
		list := make(graphql.Array, len(s.Errors))
		for i, text := range s.Errors {
			list[i] = graphql.MarshalString(text)
		}
		return appendMarshaled(b, list)
	}},
	"skipReason":      {append: func(b []byte, s *db.StageExecution) []byte { return appendTextOrNull(b, s.SkipReason) }},
	"copiedFromRunId": {append: func(b []byte, s *db.StageExecution) []byte { return appendTextOrNull(b, s.CopiedFrom) }},
	"startedAt":       {append: func(b []byte, s *db.StageExecution) []byte { return appendDateTime(b, s.StartedAt) }},
	"finishedAt":      {append: func(b []byte, s *db.StageExecution) []byte { return appendDateTime(b, s.FinishedAt) }},
	"durationMs":      {append: func(b []byte, s *db.StageExecution) []byte { return appendDuration(b, s.StartedAt, s.FinishedAt) }},
}

// appendText is graphql.MarshalString without its calls for every character.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			return appendMarshaled(b, graphql.MarshalString(text))
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

func appendTextOrNull(b []byte, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	return appendText(b, text)
}

func appendDuration(b []byte, start, end time.Time) []byte {
	if took := lasted(start, end); took != nil {
		return strconv.AppendInt(b, *took, 10)
	}
	return append(b, "null"...)
}

func appendMarshaled(b []byte, m graphql.Marshaler) []byte {
	out := bytes.NewBuffer(b)
	m.MarshalGQL(out)
	return out.Bytes()
}
