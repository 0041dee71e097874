/*
 * Reports statements of the extension that resolve a name to an object of somebody else's.
 *
 * Whatever the role hostile_owner owns is hostile: operators, functions, types and relations that lie on the search path
 * and fit better than those of pg_catalog. After each parse analysis this library looks at every object that the statement
 * refers to, and writes a line "hostile: ..." to the server's log if one is the role's and the statement is not a test's own.
 *
 * Whose statement it is, the error context tells. The statement of a client has none. One that runs through SPI has
 * "SQL statement ..." as its innermost line; what follows is "PL/pgSQL function ..." where a function of a test runs it. No
 * other language is used by tests, and the extension is written in none of them, so that all others are the extension's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static post_parse_analyze_hook_type previous_hook = NULL;

/* What a walk through a statement found. */
typedef struct Search
{
	Oid			owner;
	char	   *found;
} Search;

static bool
is_owned(int cache, Oid object, Oid owner)
{
	HeapTuple	tuple;
	Oid			actual = InvalidOid;

	if (!OidIsValid(object) || object < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	if (!HeapTupleIsValid(tuple))
		return false;
	switch (cache)
	{
		case PROCOID:
			actual = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
			break;
		case OPEROID:
			actual = ((Form_pg_operator) GETSTRUCT(tuple))->oprowner;
			break;
		case TYPEOID:
			actual = ((Form_pg_type) GETSTRUCT(tuple))->typowner;
			break;
		case RELOID:
			actual = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
			break;
	}
	ReleaseSysCache(tuple);
	return actual == owner;
}

static void
check(Search *search, int cache, Oid object)
{
	if (search->found != NULL || !is_owned(cache, object, search->owner))
		return;
	switch (cache)
	{
		case PROCOID:
			search->found = psprintf("function %s", format_procedure_qualified(object));
			break;
		case OPEROID:
			search->found = psprintf("operator %s", format_operator_qualified(object));
			break;
		case TYPEOID:
			search->found = psprintf("type %s", format_type_be_qualified(object));
			break;
		case RELOID:
			search->found = psprintf("relation %s", get_rel_name(object));
			break;
	}
}

static bool
check_function(Oid function, void *context)
{
	check(context, PROCOID, function);
	return false;
}

static bool
walk(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL || search->found != NULL)
		return false;
	check_functions_in_node(node, check_function, context);
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, walk, context, QTW_EXAMINE_RTES_BEFORE);
		case T_RangeTblEntry:
			if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
				check(search, RELOID, ((RangeTblEntry *) node)->relid);
			return false;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			check(search, OPEROID, ((OpExpr *) node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			check(search, OPEROID, ((ScalarArrayOpExpr *) node)->opno);
			break;
		case T_RowCompareExpr:
			{
				ListCell   *cell;

				foreach(cell, ((RowCompareExpr *) node)->opnos)
					check(search, OPEROID, lfirst_oid(cell));
				break;
			}
		case T_SortGroupClause:
			check(search, OPEROID, ((SortGroupClause *) node)->eqop);
			check(search, OPEROID, ((SortGroupClause *) node)->sortop);
			break;
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ArrayExpr:
		case T_CoerceToDomain:
			{
				Oid			type = exprType(node);
				Oid			element = get_element_type(type);

				check(search, TYPEOID, OidIsValid(element) ? element : type);
				break;
			}
		default:
			break;
	}
	return expression_tree_walker(node, walk, context);
}

/* Whether the innermost statement that runs is neither a client's nor a PL/pgSQL function's. */
static bool
is_of_extension(const char *statement)
{
	char	   *stack = GetErrorContextStack();
	const char *begin = "SQL statement \"";
	const char *rest;

	if (stack == NULL || strncmp(stack, begin, strlen(begin)) != 0)
		return false;
	rest = stack + strlen(begin);
	if (strncmp(rest, statement, strlen(statement)) != 0)
		return false;
	rest += strlen(statement);
	if (*rest == '"')
		rest++;
	return strncmp(rest, "\nPL/pgSQL function", 18) != 0;
}

static void
look(ParseState *pstate, Query *query, JumbleState *jumble)
{
	Search		search = {InvalidOid, NULL};

	if (previous_hook)
		previous_hook(pstate, query, jumble);
	if (pstate->p_sourcetext == NULL || error_context_stack == NULL)
		return;
	search.owner = get_role_oid("hostile_owner", true);
	if (!OidIsValid(search.owner))
		return;
	walk((Node *) query, &search);
	if (search.found != NULL && is_of_extension(pstate->p_sourcetext))
	{
		char	   *text = pstrdup(pstate->p_sourcetext);

		for (char *c = text; *c; c++)
			if (*c == '\n')
				*c = ' ';
		ereport(LOG, (errmsg_internal("hostile: %s in %s", search.found, text), errhidestmt(true), errhidecontext(true)));
	}
}

void
_PG_init(void)
{
	previous_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = look;
}
