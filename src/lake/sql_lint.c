/*
 * sql_lint.c: one text, two engines: what they read differently is refused before it runs.
 *
 * The SELECTs of sql/ are Trino's dialect, run by DuckDB behind a prelude of macros. A mistake here
 * is silent: 1/2 is 0 there and 0.5 here. So the text is cut into tokens and each rule below looks
 * at a few neighbouring ones. No grammar: that is the engines' own work.
 */
#include "lake/sql_lint.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "lake/tables.h"

enum token_kind { WORD, QUOTED, TEXT, NUMBER, SIGN, END };

struct token {
    enum token_kind kind;
    struct str text; /* QUOTED and TEXT with their quotes */
    int line;
    int depth; /* parentheses that are open around it; of "(" and ")" those outside */
};

struct lint {
    const char *name;
    struct token *tokens; /* the last one is END */
    size_t count, cap;
    struct kol_error *err;
};

/* ---- tokens ---- */

/* Signs of two characters, longest match first; refused ones are here to be named. */
static const char *const long_signs[] = {
    "::", "||", "<>", "<=", ">=", "!=", "==", "//", "->", "=>", ":=", "**", "/*"};
static const char short_signs[] = "(),.+-*/%<>=[]{};:?^~&|@#$`\\!";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 128;
}

static enum kol_status refuse(const struct lint *lint, int line, const char *what)
{
    return kol_fail(lint->err, KOL_INVALID, "%s:%d: %s", lint->name, line, what);
}

/* Length of white space and of comments to the end of the line; counts the lines. */
static size_t skip_blank(struct str rest, int *line)
{
    size_t i = 0;
    while (i < rest.len) {
        char c = rest.ptr[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            *line += c == '\n';
            i++;
        } else if (c == '-' && i + 1 < rest.len && rest.ptr[i + 1] == '-') {
            const char *end = memchr(rest.ptr + i, '\n', rest.len - i);
            i = end ? (size_t)(end - rest.ptr) : rest.len;
        } else {
            break;
        }
    }
    return i;
}

/* Length of a text in quotes `quote`, doubled ones inside; 0 where it does not end. */
static size_t quoted_length(struct str rest, char quote)
{
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] == quote) {
            if (i + 1 == rest.len || rest.ptr[i + 1] != quote) {
                return i + 1;
            }
            i++;
        }
    }
    return 0;
}

/* Digits, a point, an exponent; a letter behind it is taken too, so that 0x10 and 1_000 show. */
static size_t number_length(struct str rest)
{
    size_t i = 0;
    while (i < rest.len && (is_digit(rest.ptr[i]) || is_letter(rest.ptr[i]) || rest.ptr[i] == '.' ||
                            ((rest.ptr[i] == '-' || rest.ptr[i] == '+') && i > 0 &&
                             (rest.ptr[i - 1] == 'e' || rest.ptr[i - 1] == 'E')))) {
        i++;
    }
    return i;
}

static size_t word_length(struct str rest)
{
    size_t i = 0;
    while (i < rest.len && (is_letter(rest.ptr[i]) || is_digit(rest.ptr[i]))) {
        i++;
    }
    return i;
}

static size_t sign_length(struct str rest)
{
    for (size_t i = 0; i < ARRAY_LEN(long_signs); i++) {
        if (str_starts(rest, str_of(long_signs[i]))) {
            return 2;
        }
    }
    return *rest.ptr && strchr(short_signs, *rest.ptr) ? 1 : 0;
}

/* Length of the next token, whose kind it tells; 0 where there is none. */
static size_t token_length(struct str rest, enum token_kind *kind)
{
    char first = rest.ptr[0];
    if (first == '\'' || first == '"') {
        *kind = first == '"' ? QUOTED : TEXT;
        return quoted_length(rest, first);
    }
    if (is_digit(first) || (first == '.' && rest.len > 1 && is_digit(rest.ptr[1]))) {
        *kind = NUMBER;
        return number_length(rest);
    }
    *kind = is_letter(first) ? WORD : SIGN;
    return is_letter(first) ? word_length(rest) : sign_length(rest);
}

static void add_token(struct lint *lint, struct token token)
{
    if (lint->count == lint->cap) {
        lint->cap = lint->cap ? 2 * lint->cap : 512;
        lint->tokens = mem_realloc(lint->tokens, lint->cap * sizeof *lint->tokens);
    }
    lint->tokens[lint->count++] = token;
}

static enum kol_status cut(struct lint *lint, struct str sql)
{
    int line = 1, depth = 0;
    for (struct str rest = sql;;) {
        size_t blank = skip_blank(rest, &line);
        rest = (struct str){rest.ptr + blank, rest.len - blank};
        if (!rest.len) {
            add_token(lint, (struct token){END, STR(""), line, depth});
            return depth ? refuse(lint, line, "a parenthesis is not closed") : KOL_OK;
        }
        enum token_kind kind;
        size_t len = token_length(rest, &kind);
        if (!len) {
            return refuse(lint, line,
                          kind == SIGN ? "a character that no SQL has" : "a quote is not closed");
        }
        struct str text = {rest.ptr, len};
        depth -= str_is(text, ")");
        if (depth < 0) {
            return refuse(lint, line, "a parenthesis closes that was not opened");
        }
        add_token(lint, (struct token){kind, text, line, depth});
        depth += str_is(text, "(");
        for (size_t i = 0; i < len; i++) {
            line += text.ptr[i] == '\n';
        }
        rest = (struct str){rest.ptr + len, rest.len - len};
    }
}

/* ---- looking around ---- */

/* The token `by` places away from `at`; beyond either end it is END. */
static const struct token *near(const struct lint *lint, size_t at, int by)
{
    static const struct token none = {END, {NULL, 0}, 0, 0};
    if (by < 0 && (size_t)-by > at) {
        return &none;
    }
    size_t to = at + (size_t)(ptrdiff_t)by;
    return to < lint->count ? &lint->tokens[to] : &none;
}

static bool is_sign(const struct token *token, const char *sign)
{
    return token->kind == SIGN && str_is(token->text, sign);
}

static bool is_word(const struct token *token, const char *word)
{
    return token->kind == WORD && str_is_nocase(token->text, word);
}

static bool is_one_of(const struct token *token, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_word(token, words[i])) {
            return true;
        }
    }
    return false;
}

/* Whether the tokens before `at` are "AS <type>" or "AS <type>(...)" and ")": a CAST to it ends. */
static bool cast_ends(const struct lint *lint, size_t at, const char *type)
{
    if (!is_sign(near(lint, at, -1), ")")) {
        return false;
    }
    size_t end = at - 1;
    if (is_sign(near(lint, end, -1), ")")) { /* DECIMAL(38, 0) */
        int depth = near(lint, end, -1)->depth;
        for (end--;
             end > 0 && !(is_sign(&lint->tokens[end], "(") && lint->tokens[end].depth == depth);) {
            end--;
        }
    }
    return is_word(near(lint, end, -1), type) && is_word(near(lint, end, -2), "AS");
}

/* ---- rules ---- */

static const struct {
    const char *word, *why;
} refused_words[] = {
    {"QUALIFY", "QUALIFY is unknown to Trino 476; filter in an outer SELECT"},
    {"EXCLUDE", "EXCLUDE is unknown to Trino; name the columns"},
    {"ILIKE", "ILIKE is unknown to Trino; compare lower() of both"},
    {"SIMILAR", "SIMILAR TO is unknown to Trino"},
    {"GLOB", "GLOB is unknown to Trino"},
    {"ISNULL", "ISNULL is unknown to Trino; write IS NULL"},
    {"NOTNULL", "NOTNULL is unknown to Trino; write IS NOT NULL"},
    {"SEMI", "SEMI JOIN is unknown to Trino; write EXISTS"},
    {"ANTI", "ANTI JOIN is unknown to Trino; write NOT EXISTS"},
    {"ASOF", "ASOF JOIN is unknown to Trino"},
    {"POSITIONAL", "POSITIONAL JOIN is unknown to Trino"},
    {"NATURAL", "NATURAL JOIN changes with the tables; write ON"},
    {"PIVOT", "PIVOT is unknown to Trino"},
    {"UNPIVOT", "UNPIVOT is unknown to Trino"},
    {"SAMPLE", "a sample is another one each time"},
    {"TABLESAMPLE", "a sample is another one each time"},
    {"IGNORE", "IGNORE NULLS stands in other places in the two; use max_by with a null time"},
    {"RESPECT", "RESPECT NULLS stands in other places in the two; it is the default"},
    {"TRY_CAST", "TRY_CAST: the two disagree on what text is a number"},
    {"CURRENT_DATE", "CURRENT_DATE: a table must not depend on the clock"},
    {"CURRENT_TIME", "CURRENT_TIME: a table must not depend on the clock"},
    {"CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP: a table must not depend on the clock"},
    {"LOCALTIME", "LOCALTIME: a table must not depend on the clock"},
    {"LOCALTIMESTAMP", "LOCALTIMESTAMP: a table must not depend on the clock"},
    {"CURRENT_USER", "CURRENT_USER: a table must not depend on who makes it"},
    {"HUGEINT", "HUGEINT is DuckDB's own; write DECIMAL(38, 0)"},
    {"STRUCT", "STRUCT is DuckDB's own; write ROW"},
};

static const char *const refused_signs[][2] = {
    {"::", ":: is DuckDB's own; write CAST(... AS ...)"},
    {"==", "== is DuckDB's own; write ="},
    {"//", "// is DuckDB's own; write CAST(floor(...) AS BIGINT)"},
    {"%", "% of a decimal or double differs; write mod() of whole numbers"},
    {"/*", "a comment in slashes nests in DuckDB alone; write --"},
    {";", "a file is one SELECT without a semicolon"},
    {"[", "an index out of range is null in DuckDB and an error in Trino"},
    {"->", "-> is JSON in DuckDB and a lambda in Trino"},
};

static enum kol_status check_sign(const struct lint *lint, size_t at)
{
    static const char *const common[] = {"(", ")", ",", ".",  "+",  "-",  "*",  "/",
                                         "<", ">", "=", "||", "<>", "<=", ">=", "!="};
    const struct token *token = &lint->tokens[at];
    for (size_t i = 0; i < ARRAY_LEN(refused_signs); i++) {
        if (str_is(token->text, refused_signs[i][0])) {
            return refuse(lint, token->line, refused_signs[i][1]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(common); i++) {
        if (str_is(token->text, common[i])) {
            return KOL_OK;
        }
    }
    return kol_fail(lint->err, KOL_INVALID, "%s:%d: %.*s is not common to both", lint->name,
                    token->line, STR_FORMAT(token->text));
}

/* 1/2 is 0.5 in DuckDB and 0 in Trino; a division by 0 is null, an error or infinite. */
static enum kol_status check_division(const struct lint *lint, size_t at)
{
    const struct token *divisor = near(lint, at, 1);
    double number;
    bool constant = divisor->kind == NUMBER && memchr(divisor->text.ptr, 'e', divisor->text.len) &&
                    str_to_double(divisor->text, &number) && number != 0;
    if (!cast_ends(lint, at, "DOUBLE")) {
        return refuse(lint, lint->tokens[at].line,
                      "/ divides whole numbers differently; write CAST(... AS DOUBLE) / ...");
    }
    if (!constant && !is_word(divisor, "nullif")) {
        return refuse(lint, lint->tokens[at].line,
                      "/ by zero differs; divide by nullif(..., 0) or a constant such as 2e0");
    }
    return KOL_OK;
}

/* What is known by its columns' names stays what it is when a table gets a column. */
static enum kol_status check_star(const struct lint *lint, size_t at)
{
    static const char *const openers[] = {"SELECT", "DISTINCT", "ALL"};
    const struct token *before = near(lint, at, -1);
    bool counted = is_sign(before, "(") && is_word(near(lint, at, -2), "count");
    if (is_one_of(before, openers, ARRAY_LEN(openers)) || is_sign(before, ",") ||
        is_sign(before, ".") || (is_sign(before, "(") && !counted)) {
        return refuse(lint, lint->tokens[at].line,
                      "SELECT * changes with the tables that it reads; name the columns");
    }
    return KOL_OK;
}

/* DuckDB lets a list end in a comma. */
static enum kol_status check_comma(const struct lint *lint, size_t at)
{
    static const char *const closers[] = {"FROM", "WHERE", "GROUP", "ORDER"};
    const struct token *after = near(lint, at, 1);
    if (is_sign(after, ")") || after->kind == END ||
        is_one_of(after, closers, ARRAY_LEN(closers))) {
        return refuse(lint, lint->tokens[at].line, "a list ends in a comma");
    }
    return KOL_OK;
}

static enum kol_status check_number(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at];
    int64_t whole;
    double real;
    bool plain = true;
    for (size_t i = 0; i < token->text.len; i++) {
        plain = plain && is_digit(token->text.ptr[i]);
    }
    if (plain && !str_to_int64(token->text, &whole)) {
        return refuse(lint, token->line, "a whole number beyond BIGINT is an error in Trino");
    }
    if (memchr(token->text.ptr, '_', token->text.len) || !str_to_double(token->text, &real)) {
        return refuse(lint, token->line, "a number in a form that is not common to both");
    }
    return KOL_OK;
}

/* A word right in front of a text makes a constant of another type, or DuckDB's own escapes. */
static enum kol_status check_text(const struct lint *lint, size_t at)
{
    static const char *const units[] = {"SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"};
    static const char *const operators[] = {"LIKE",    "AND",  "OR",   "WHEN", "THEN", "ELSE",
                                            "BETWEEN", "IN",   "NOT",  "ON",   "AS",   "ESCAPE",
                                            "SELECT",  "FROM", "CASE", "BY",   "WHERE"};
    const struct token *token = &lint->tokens[at], *before = near(lint, at, -1);
    if (is_word(before, "INTERVAL")) {
        int64_t number;
        struct str inside = {token->text.ptr + 1, token->text.len - 2};
        return str_to_int64(inside, &number) &&
                       is_one_of(near(lint, at, 1), units, ARRAY_LEN(units))
                   ? KOL_OK
                   : refuse(lint, token->line, "an interval is written INTERVAL '24' HOUR");
    }
    if (before->kind != WORD || is_word(before, "DATE") ||
        is_one_of(before, operators, ARRAY_LEN(operators))) {
        return KOL_OK;
    }
    if (is_word(before, "DECIMAL")) {
        return refuse(lint, token->line,
                      "DECIMAL '...' has three places in DuckDB; write the bare number or CAST");
    }
    return kol_fail(lint->err, KOL_INVALID,
                    "%s:%d: %.*s '...' is no constant that means the same in both", lint->name,
                    token->line, STR_FORMAT(before->text));
}

/* ---- types, as far as tokens tell them ---- */

/* What the declared tables say of columns of this name; a user's own columns are in none. */
struct known_types {
    bool text, whole, real, time, other;
};

static struct known_types types_of(const struct token *token)
{
    size_t count;
    const struct lake_table *tables = lake_tables(&count);
    struct known_types known = {0};
    struct str name = token->text;
    if (token->kind == QUOTED) {
        name = (struct str){name.ptr + 1, name.len - 2};
    }
    for (size_t i = 0; i < count && (token->kind == WORD || token->kind == QUOTED); i++) {
        for (size_t k = 0; k < tables[i].column_count; k++) {
            const char *type = tables[i].columns[k].type;
            if (str_is_nocase(name, tables[i].columns[k].name)) {
                known.text = known.text || !strcmp(type, "string");
                known.whole = known.whole || !strcmp(type, "long") || !strcmp(type, "int");
                known.real = known.real || !strcmp(type, "double") || !strcmp(type, "float");
                known.time = known.time || !strncmp(type, "timestamp", 9);
                known.other = known.other || !strcmp(type, "boolean") || !strcmp(type, "date");
            }
        }
    }
    return known;
}

/* A column as far as its name goes: neither a qualifier nor a function. */
static bool is_column(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at], *behind = near(lint, at, 1);
    return (token->kind == WORD || token->kind == QUOTED) && !is_sign(behind, ".") &&
           !is_sign(behind, "(");
}

static bool has_fraction(const struct token *token)
{
    for (size_t i = 0; i < token->text.len && token->kind == NUMBER; i++) {
        if (!is_digit(token->text.ptr[i])) {
            return true;
        }
    }
    return false;
}

/* The parenthesis that closes the one at `open`. */
static size_t closing(const struct lint *lint, size_t open)
{
    size_t close = open + 1;
    while (close + 1 < lint->count && !(is_sign(&lint->tokens[close], ")") &&
                                        lint->tokens[close].depth == lint->tokens[open].depth)) {
        close++;
    }
    return close;
}

/* Whether tokens[from..to) are one CAST, whose type is then not to be guessed. */
static bool is_one_cast(const struct lint *lint, size_t from, size_t to)
{
    return is_word(&lint->tokens[from], "CAST") && is_sign(near(lint, from, 1), "(") &&
           closing(lint, from + 1) + 1 == to;
}

/* The operand of a CAST to VARCHAR is tokens[from..to): a real number and a time are written
 * otherwise in each of the two, and what a calculation gives may be a real number. */
static enum kol_status check_to_text(const struct lint *lint, size_t from, size_t to)
{
    static const char *const unclear[] = {"round", "ceil", "floor", "date_trunc", "date_add"};
    static const char why[] = "the text of a real number or a time differs; CAST it to BIGINT, "
                              "DECIMAL(p, s) or DATE first";
    if (is_one_cast(lint, from, to)) {
        return cast_ends(lint, to, "DOUBLE") ? refuse(lint, lint->tokens[from].line, why) : KOL_OK;
    }
    for (size_t i = from; i < to; i++) {
        const struct token *token = &lint->tokens[i];
        const bool column = is_column(lint, i);
        const struct known_types known = types_of(token);
        const bool call = is_sign(near(lint, i, 1), "(");
        if (has_fraction(token) || is_sign(token, "/") || (column && (known.real || known.time)) ||
            (call && is_one_of(token, unclear, ARRAY_LEN(unclear)))) {
            return refuse(lint, token->line, why);
        }
    }
    return KOL_OK;
}

/* The operand of a CAST to a whole number: 2.5e0 becomes 2 in DuckDB and 3 in Trino, ' 12 ' becomes
 * 12 in the one and an error in the other. What stands in the parentheses of a function is not
 * looked at. */
static enum kol_status check_to_whole(const struct lint *lint, size_t from, size_t to)
{
    static const char why[] = "a CAST to a whole number rounds or reads text differently; write "
                              "CAST(floor(...) AS BIGINT), or the number itself";
    const int depth = lint->tokens[from].depth;
    if (is_one_cast(lint, from, to)) {
        return cast_ends(lint, to, "DOUBLE") || cast_ends(lint, to, "VARCHAR")
                   ? refuse(lint, lint->tokens[from].line, why)
                   : KOL_OK;
    }
    for (size_t i = from; i < to; i++) {
        const struct token *token = &lint->tokens[i];
        const struct known_types known = types_of(token);
        if (token->depth == depth &&
            (has_fraction(token) || is_sign(token, "/") ||
             (token->kind == TEXT && to == from + 1) ||
             (is_column(lint, i) && (known.real || (known.text && !known.whole))))) {
            return refuse(lint, token->line, why);
        }
    }
    return KOL_OK;
}

/* A type of a CAST: "AS" has a "CAST (" in front of it at the same depth. */
static enum kol_status check_cast_type(const struct lint *lint, size_t at)
{
    static const char *const types[] = {"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE",
                                        "DECIMAL", "VARCHAR", "DATE"};
    size_t open = at;
    int depth = lint->tokens[at].depth;
    while (open > 0 && lint->tokens[open].depth >= depth) {
        open--;
    }
    if (depth == 0 || !is_word(near(lint, open, -1), "CAST")) {
        return KOL_OK;
    }
    const struct token *type = near(lint, at, 1), *behind = near(lint, at, 2);
    if (!is_one_of(type, types, ARRAY_LEN(types))) {
        return kol_fail(lint->err, KOL_INVALID,
                        "%s:%d: CAST to %.*s: only BOOLEAN, INTEGER, BIGINT, DOUBLE, DECIMAL(p, "
                        "s), VARCHAR and DATE mean the same in both",
                        lint->name, type->line, STR_FORMAT(type->text));
    }
    if (is_word(type, "DECIMAL") && !is_sign(behind, "(")) {
        return refuse(lint, type->line,
                      "DECIMAL is (18, 3) in DuckDB and (38, 0) in Trino; say which");
    }
    if (is_word(type, "VARCHAR")) {
        return check_to_text(lint, open + 1, at);
    }
    return is_word(type, "BIGINT") || is_word(type, "INTEGER") ? check_to_whole(lint, open + 1, at)
                                                               : KOL_OK;
}

/* DuckDB makes text of whatever stands beside ||, Trino refuses it. */
static enum kol_status check_concat(const struct lint *lint, size_t at)
{
    static const char *const types[] = {"BOOLEAN", "INTEGER", "BIGINT",
                                        "DOUBLE",  "DECIMAL", "DATE"};
    size_t right = at + 1;
    if (is_sign(near(lint, right, 1), ".")) {
        right += 2; /* behind the qualifier */
    }
    size_t right_end = is_word(near(lint, right, 0), "CAST") && right + 1 < lint->count
                           ? closing(lint, right + 1) + 1
                           : right;
    bool other = near(lint, at, -1)->kind == NUMBER || near(lint, right, 0)->kind == NUMBER;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        other = other || cast_ends(lint, at, types[i]) ||
                (right_end > right && cast_ends(lint, right_end, types[i]));
    }
    const size_t sides[] = {at - 1, right};
    for (size_t i = 0; i < ARRAY_LEN(sides) && at > 0; i++) {
        if (sides[i] < lint->count && is_column(lint, sides[i])) {
            const struct known_types known = types_of(&lint->tokens[sides[i]]);
            other =
                other || (!known.text && (known.whole || known.real || known.time || known.other));
        }
    }
    return other ? refuse(lint, lint->tokens[at].line,
                          "|| joins text alone in Trino; write CAST(... AS VARCHAR)")
                 : KOL_OK;
}

/* Whole numbers and decimals add up to the same in every order, doubles do not. */
static enum kol_status check_sum(const struct lint *lint, size_t at)
{
    const size_t open = at + 1, close = closing(lint, open);
    if (is_word(near(lint, open, 1), "CAST") &&
        (cast_ends(lint, close, "DECIMAL") || cast_ends(lint, close, "BIGINT"))) {
        return KOL_OK;
    }
    return refuse(lint, lint->tokens[at].line,
                  "sum: write sum(CAST(... AS DECIMAL(38, 0))); doubles add up to something else "
                  "each time, and the type of other sums differs");
}

/* A word with a parenthesis behind it: a function unless it is part of the language. */
static enum kol_status check_call(const struct lint *lint, size_t at)
{
    static const char *const functions[] = {
#define SQL_FUNCTION(name, why) #name,
#include "lake/sql_functions.def"
#undef SQL_FUNCTION
    };
    static const char *const language[] = {
        "ALL",     "AND",      "AS",        "BETWEEN", "BY",     "CASE",   "CAST",
        "DECIMAL", "DISTINCT", "ELSE",      "EXCEPT",  "EXISTS", "FILTER", "FROM",
        "HAVING",  "IN",       "INTERSECT", "JOIN",    "LIKE",   "NOT",    "ON",
        "OR",      "OVER",     "ROW",       "SELECT",  "THEN",   "UNION",  "UNNEST",
        "USING",   "VALUES",   "WHEN",      "WHERE",   "WITH"};
    const struct token *token = &lint->tokens[at], *before = near(lint, at, -1);
    /* Names of columns behind an alias: AS t (a, b), WITH t (a) AS. */
    if (is_word(before, "AS") || is_word(before, "WITH") ||
        is_one_of(token, language, ARRAY_LEN(language))) {
        return KOL_OK;
    }
    if (!is_one_of(token, functions, ARRAY_LEN(functions)) || is_sign(before, ".")) {
        return kol_fail(lint->err, KOL_INVALID,
                        "%s:%d: %.*s(): not among the functions that mean the same in both "
                        "(src/lake/sql_functions.def)",
                        lint->name, token->line, STR_FORMAT(token->text));
    }
    return is_word(token, "sum") ? check_sum(lint, at) : KOL_OK;
}

/* Which rows a LIMIT takes is chance unless an ORDER BY of the same query stands before it. */
static enum kol_status check_limit(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at];
    if (near(lint, at, 1)->kind != NUMBER && !is_word(near(lint, at, 1), "FIRST")) {
        return KOL_OK; /* a column of that name */
    }
    for (size_t i = at; i-- > 0 && lint->tokens[i].depth >= token->depth;) {
        if (lint->tokens[i].depth == token->depth && is_word(&lint->tokens[i], "ORDER")) {
            return KOL_OK;
        }
        if (lint->tokens[i].depth == token->depth && is_word(&lint->tokens[i], "SELECT")) {
            break;
        }
    }
    return refuse(lint, token->line, "LIMIT without ORDER BY: which rows is chance");
}

static enum kol_status check_word(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at], *before = near(lint, at, -1);
    if (is_sign(before, ".") || is_word(before, "AS")) {
        /* A column or an alias; a CAST names its type behind AS, which is checked there. */
        return is_sign(near(lint, at, 1), "(") ? check_call(lint, at) : KOL_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(refused_words); i++) {
        if (is_word(token, refused_words[i].word)) {
            return refuse(lint, token->line, refused_words[i].why);
        }
    }
    if (is_word(token, "ALL") && is_word(before, "BY")) {
        return refuse(lint, token->line, "GROUP BY ALL and ORDER BY ALL are DuckDB's own");
    }
    if (is_word(token, "AS")) {
        return check_cast_type(lint, at);
    }
    if (is_word(token, "LIMIT") || is_word(token, "FETCH")) {
        return check_limit(lint, at);
    }
    return is_sign(near(lint, at, 1), "(") ? check_call(lint, at) : KOL_OK;
}

static enum kol_status check_quoted(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at];
    if (token->text.len == 2) {
        return refuse(lint, token->line, "a name without letters");
    }
    if (is_sign(near(lint, at, 1), "(") && !is_word(near(lint, at, -1), "AS")) {
        return refuse(lint, token->line, "write the name of a function without quotes");
    }
    return KOL_OK;
}

static enum kol_status check_token(const struct lint *lint, size_t at)
{
    const struct token *token = &lint->tokens[at];
    switch (token->kind) {
    case WORD: return check_word(lint, at);
    case TEXT: return check_text(lint, at);
    case NUMBER: return check_number(lint, at);
    case QUOTED: return check_quoted(lint, at);
    case SIGN: break;
    case END: return KOL_OK;
    }
    if (is_sign(token, "/")) {
        return check_division(lint, at);
    }
    if (is_sign(token, "*")) {
        return check_star(lint, at);
    }
    if (is_sign(token, "||")) {
        return check_concat(lint, at);
    }
    return is_sign(token, ",") ? check_comma(lint, at) : check_sign(lint, at);
}

/* ---- names of the columns ---- */

/* The name that the item of a SELECT list which ends before `end` gives its column; false where it
 * gives none. */
static bool item_name(const struct lint *lint, size_t start, size_t end, struct str *name)
{
    const struct token *last = &lint->tokens[end - 1];
    const bool named =
        end - start == 1 || is_word(near(lint, end, -2), "AS") || is_sign(near(lint, end, -2), ".");
    *name = last->text;
    if (last->kind == QUOTED) {
        *name = (struct str){last->text.ptr + 1, last->text.len - 2};
    }
    return named && (last->kind == WORD || last->kind == QUOTED);
}

/* Takes a column's name among the `*count` of one list, in which it must be the first of its kind:
 * DuckDB renames the second one silently or takes the first, Trino refuses. */
static enum kol_status add_name(const struct lint *lint, int line, struct str name,
                                struct str *names, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if (names[i].len == name.len && !strncasecmp(names[i].ptr, name.ptr, name.len)) {
            return kol_fail(lint->err, KOL_INVALID, "%s:%d: two columns are named %.*s", lint->name,
                            line, STR_FORMAT(name));
        }
    }
    names[(*count)++] = name;
    return KOL_OK;
}

/* Whether the token ends the list of its SELECT: IS DISTINCT FROM does not. */
static bool list_ends(const struct lint *lint, size_t at)
{
    static const char *const enders[] = {"UNION", "EXCEPT", "INTERSECT"};
    const struct token *token = &lint->tokens[at];
    return token->kind == END || is_one_of(token, enders, ARRAY_LEN(enders)) ||
           (is_word(token, "FROM") && !is_word(near(lint, at, -1), "DISTINCT"));
}

/* The list behind the SELECT at `at`. `names` has room for all tokens. */
static enum kol_status check_select_names(const struct lint *lint, size_t at, struct str *names)
{
    const int depth = lint->tokens[at].depth;
    size_t count = 0, start = at + 1;
    bool ended = false;
    enum kol_status status = KOL_OK;
    start += is_word(near(lint, at, 1), "DISTINCT");
    for (at = start; at < lint->count && !ended && status == KOL_OK; at++) {
        const struct token *token = &lint->tokens[at];
        struct str name;
        ended = token->depth < depth || (token->depth == depth && list_ends(lint, at));
        if (ended || (token->depth == depth && is_sign(token, ","))) {
            if (at > start && item_name(lint, start, at, &name)) {
                status = add_name(lint, token->line, name, names, &count);
            }
            start = at + 1;
        }
    }
    return status;
}

/* The names in the parentheses at `open`: AS t (a, b), WITH t (a, b) AS. */
static enum kol_status check_alias_names(const struct lint *lint, size_t open, struct str *names)
{
    const size_t close = closing(lint, open);
    size_t count = 0;
    enum kol_status status = KOL_OK;
    for (size_t at = open + 1; at < close && status == KOL_OK; at++) {
        struct str name;
        const struct token *behind = near(lint, at, 1);
        if ((is_sign(behind, ",") || is_sign(behind, ")")) && item_name(lint, at, at + 1, &name)) {
            status = add_name(lint, lint->tokens[at].line, name, names, &count);
        }
    }
    return status;
}

/* Columns of one name are refused wherever a query lists its columns. A query behind UNION takes
 * the names of the one before it, so that its own may be what they like. */
static enum kol_status check_column_names(const struct lint *lint)
{
    static const char *const joined[] = {"UNION", "EXCEPT", "INTERSECT", "ALL", "DISTINCT", "AS"};
    enum kol_status status = KOL_OK;
    struct str *names = mem_alloc(lint->count * sizeof *names);
    for (size_t at = 0; at < lint->count && status == KOL_OK; at++) {
        const struct token *before = near(lint, at, -1);
        if (is_word(&lint->tokens[at], "SELECT") && !is_sign(before, ".") &&
            !is_one_of(before, joined, ARRAY_LEN(joined))) {
            status = check_select_names(lint, at, names);
        } else if (is_sign(near(lint, at, 1), "(") &&
                   (is_word(before, "AS") || is_word(before, "WITH"))) {
            status = check_alias_names(lint, at + 1, names);
        }
    }
    free(names);
    return status;
}

enum kol_status lake_sql_lint(struct str sql, const char *name, struct kol_error *err)
{
    struct lint lint = {.name = name, .err = err};
    enum kol_status status = cut(&lint, sql);
    if (status == KOL_OK && !is_word(&lint.tokens[0], "SELECT") &&
        !is_word(&lint.tokens[0], "WITH")) {
        status = refuse(&lint, lint.tokens[0].line, "a file is one SELECT, or WITH and a SELECT");
    }
    for (size_t i = 0; i < lint.count && status == KOL_OK; i++) {
        status = check_token(&lint, i);
    }
    if (status == KOL_OK) {
        status = check_column_names(&lint);
    }
    free(lint.tokens);
    return status;
}
