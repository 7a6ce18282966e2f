/* The commands. Each does its work, reports its own failures, and returns the program's exit status. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "options.h"

int generate(const options *o);
int chat(const options *o);
int inspect(const options *o);
int tokenize(const options *o);
int detokenize(const options *o);
int eval(const options *o);
int embed(const options *o);
int rerank(const options *o);
int check_grammar(const options *o);
int render_template(const options *o);
int bench(const options *o);
int serve(const options *o);
int pull(const options *o);
int list_models(const options *o);
int remove_models(const options *o);

/* Replace model names in a command's options by paths; pull, list and rm keep the names. Returns an exit status, after
 * saying why. */
int find_models(const command *c, options *o);

#endif
