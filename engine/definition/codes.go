package definition

// Codes of issues. They are stable: clients may switch on them. Node types add their own through
// [Checker.Error] and [Checker.Warn]; those that several types share are listed here as well.
const (
	// The text of the document.
	CodeSyntax       = "syntax"        // not JSON or YAML
	CodeTooLarge     = "too_large"     // more bytes or nodes than allowed
	CodeDuplicateKey = "duplicate_key" // a key twice in one object
	CodeTooMany      = "too_many"      // more issues than are reported

	// Its structure.
	CodeMissingVersion     = "missing_version"
	CodeUnsupportedVersion = "unsupported_version"
	CodeNoNodes            = "no_nodes"
	CodeMissingID          = "missing_id"
	CodeBadID              = "bad_id"
	CodeDuplicateID        = "duplicate_id"
	CodeMissingType        = "missing_type"
	CodeUnknownType        = "unknown_type"
	CodeUnknownKey         = "unknown_key"
	CodeMissingKey         = "missing_key" // in a config
	CodeWrongType          = "wrong_type"  // text where a number is needed, and the like
	CodeBadValue           = "bad_value"   // the right type, but out of range or not one of the choices

	// Its graph.
	CodeUnknownNode       = "unknown_node" // an id that no node has
	CodeSelfEdge          = "self_edge"
	CodeCycle             = "cycle"
	CodeNotUpstream       = "not_upstream"       // a reference to a node that has not run by then
	CodeBranchesForbidden = "branches_forbidden" // next by outcome on a node without outcomes
	CodeUnknownOutcome    = "unknown_outcome"    // next for an outcome that cannot happen
	CodeUnhandledOutcome  = "unhandled_outcome"  // warning: nothing follows an outcome that is written out
	CodeBranchesUnused    = "branches_unused"    // warning: a condition whose outcome decides nothing
	CodeNextTwice         = "next_twice"         // next beside a config that says the same
	CodeUnreached         = "unreached"          // warning: nothing leads to it and it leads nowhere
	CodeBadExpression     = "bad_expression"     // does not compile
	CodeBadTemplate       = "bad_template"       // does not compile
	CodeBadCron           = "bad_cron"           // cannot be read, or never comes round
	CodeUnknownZone       = "unknown_time_zone"

	// Its triggers.
	CodeShadowedTrigger = "shadowed_trigger" // warning: another definition takes everything it could get

	// For the Check functions of node types.
	CodeUnknownProvider = "unknown_provider"
	CodeUnknownChannel  = "unknown_channel"
	CodeInactiveChannel = "inactive_channel"
	CodeMissingSetting  = "missing_setting"
	CodeUntestedChannel = "untested_channel"

	// For nodes that run other definitions.
	CodeUnknownDefinition  = "unknown_definition"
	CodeInactiveDefinition = "inactive_definition"
	CodeRecursion          = "recursion" // definitions that run each other in a circle
)
