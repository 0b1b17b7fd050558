/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of nftables as data, so that what changed can be told from what did not.
 *
 * A part is a chain, a set or a map; its lines are rules or elements in nft's own words.  Text for
 * "nft -f" is made of the whole, or of the difference between two: then it costs what has changed,
 * however much there is.  Either is one transaction.  Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    const char *kind;  /* "chain", "set", "map"; a literal */
    const char *table; /* "inet virga"; a literal */
    char *name;
    char *head;       /* the type of a set, the hook of a base chain; "" for other chains */
    GPtrArray *lines; /* of char *, owned; elements in any order */
} VirgaRulesetPart;

typedef struct {
    GPtrArray *tables; /* of literals */
    GPtrArray *parts;  /* of VirgaRulesetPart, in order */
} VirgaRuleset;

VirgaRuleset *virga_ruleset_new(void);
void virga_ruleset_free(VirgaRuleset *ruleset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaRuleset, virga_ruleset_free)

/* Adds an empty part and returns it, a loan.  The name is copied. */
VirgaRulesetPart *virga_ruleset_add(VirgaRuleset *ruleset, const char *kind, const char *table,
                                    const char *name, const char *head);
void virga_ruleset_line(VirgaRulesetPart *part, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Replaces the tables by these, whatever they hold.  The caller owns the text. */
char *virga_ruleset_text(const VirgaRuleset *ruleset);

/* Turns 'from', which the kernel has, into 'to': "" if they are the same, NULL if only the whole
 * text can (a part has another head, or there are other tables).  The caller owns it. */
char *virga_ruleset_diff(const VirgaRuleset *from, const VirgaRuleset *to);
