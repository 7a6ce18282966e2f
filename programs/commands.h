/* The commands: each does its work, reports failures itself, and returns the program's exit status. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "options.h"

int generate(const options *o);
int chat(const options *o);
int inspect(const options *o);
int tokenize(const options *o);
int detokenize(const options *o);
int eval(const options *o);
int render_template(const options *o);
int bench(const options *o);

#endif
