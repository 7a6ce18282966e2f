/* The formats of JSON Schema, such as dates and addresses, as regular expressions. Comments name the document that
 * defines a format, and rules that go beyond it. Before this: schema_shapes.c, which finds the keyword `format`. After
 * it: schema_rules.c. */
#include "sampling/schema.h"

#include <string.h>

/* RFC 3339. Each month has its right number of days, and the first year is 1. Second 60 is allowed only as 23:59:60 in
 * UTC, where leap seconds are. */
#define YEAR      "(000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})"
#define FOURTH    "(0[48]|[2468][048]|[13579][26])"
#define LEAP_YEAR "(\\d\\d" FOURTH "|" FOURTH "00)"
#define DATE                                                                              \
    "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|" \
    "02-(0[1-9]|1\\d|2[0-8]))|" LEAP_YEAR "-02-29)"
#define TIME                                                                             \
    "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)|" \
    "23:59:60(\\.\\d+)?([zZ]|[+-]00:00))"
#define DURATION_TIME "T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)"
#define DURATION      "P(\\d+W|(\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(" DURATION_TIME ")?|" DURATION_TIME ")"

/* RFC 4291 */
#define BYTE "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 BYTE "(\\." BYTE "){3}"
#define HEX  "[0-9A-Fa-f]"
#define H16  HEX "{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                                     \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|((" H16 ":){0,1}" H16      \
    ")?::(" H16 ":){3}" LS32 "|((" H16 ":){0,2}" H16 ")?::(" H16 ":){2}" LS32 "|((" H16 ":){0,3}" H16 ")?::" H16 \
    ":" LS32 "|((" H16 ":){0,4}" H16 ")?::" LS32 "|((" H16 ":){0,5}" H16 ")?::" H16 "|((" H16 ":){0,6}" H16 ")?::)"

/* RFC 1123 and 5891: labels of at most 63 characters. The third and the fourth character may not both be "-", so
 * internationalized names are not allowed. */
#define LETTER "[A-Za-z0-9]"
#define INNER  "[A-Za-z0-9-]"
#define LABEL                                                                                                 \
    "(" LETTER "(" LETTER "|" INNER LETTER ")?|" LETTER INNER "(" LETTER LETTER "|-" LETTER ")|" LETTER INNER \
    "(" LETTER INNER "|-" LETTER ")" INNER "{0,58}" LETTER ")"
#define HOSTNAME LABEL "(\\." LABEL ")*"

/* RFC 5321: a mailbox. other: characters that a word may have in addition. */
#define ATOM(other)   "[A-Za-z0-9!#$%&'*+/=?^_`{|}~" other "-]+"
#define DOMAIN(other) "[A-Za-z0-9" other "]([A-Za-z0-9" other "-]*[A-Za-z0-9" other "])?"
#define EMAIL(other)                                                                                                 \
    "(" ATOM(other) "(\\." ATOM(other) ")*|\"([ !#-\\[\\]-~" other "]|\\\\[ -~])*\")@(" DOMAIN(other) "(\\." DOMAIN( \
        other) ")*|\\[" IPV4 "\\]|\\[IPv6:" IPV6 "\\])"

/* RFC 3986; for characters beyond ASCII, RFC 3987. other, more: characters allowed in addition. */
#define UCS             "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF\\u{10000}-\\u{EFFFD}"
#define PRIVATE         "\\uE000-\\uF8FF\\u{F0000}-\\u{10FFFD}"
#define PERCENT         "%" HEX HEX
#define PCHAR(other)    "([A-Za-z0-9._~!$&'()*+,;=:@" other "-]|" PERCENT ")"
#define SEGMENTS(other) "(/" PCHAR(other) "*)*"
#define AUTHORITY(other)                                                            \
    "(([A-Za-z0-9._~!$&'()*+,;=:" other "-]|" PERCENT ")*@)?(\\[(" IPV6 "|[vV]" HEX \
    "+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|([A-Za-z0-9._~!$&'()*+,;=" other "-]|" PERCENT ")*)(:\\d*)?"
#define ABSOLUTE(other) "//" AUTHORITY(other) SEGMENTS(other) "|/(" PCHAR(other) "+" SEGMENTS(other) ")?"
#define QUERY(more)     "(\\?([A-Za-z0-9._~!$&'()*+,;=:@/?" more "-]|" PERCENT ")*)?"
#define FRAGMENT(more)  "(#([A-Za-z0-9._~!$&'()*+,;=:@/?" more "-]|" PERCENT ")*)?"
#define ABSOLUTE_URI(other, more) \
    "[A-Za-z][A-Za-z0-9+.-]*:(" ABSOLUTE(other) "|" PCHAR(other) "+" SEGMENTS(other) "|)" QUERY(more) FRAGMENT(other)
#define REFERENCE(other, more)                                                                           \
    "(" ABSOLUTE_URI(other, more) "|(" ABSOLUTE(other) "|([A-Za-z0-9._~!$&'()*+,;=@" other "-]|" PERCENT \
                                                       ")+" SEGMENTS(other) "|)" QUERY(more) FRAGMENT(other) ")"

/* RFC 6570, 6901 */
#define NAME_CHARACTER "([A-Za-z0-9_]|" PERCENT ")"
#define VARIABLE       NAME_CHARACTER "(\\.?" NAME_CHARACTER ")*(:[1-9]\\d{0,3}|\\*)?"
#define TEMPLATE \
    "([!#$&-;=?-\\[\\]_a-z~" UCS PRIVATE "]|" PERCENT "|\\{[+#./;?&=,!@|]?" VARIABLE "(," VARIABLE ")*\\})*"
#define POINTER "(/([^/~]|~[01])*)*"

static const struct {
    const char *name, *pattern; /* NULL: an automaton cannot enforce it */
} formats[] = {
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "[Tt]" TIME},
    {"duration", DURATION},
    {"email", EMAIL("")},
    {"idn-email", EMAIL("\\u0080-\\u{10FFFF}")},
    {"hostname", HOSTNAME},
    {"idn-hostname", NULL},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uuid", HEX "{8}(-" HEX "{4}){3}-" HEX "{12}"},
    {"uri", ABSOLUTE_URI("", "")},
    {"uri-reference", REFERENCE("", "")},
    {"iri", ABSOLUTE_URI(UCS, UCS PRIVATE)},
    {"iri-reference", REFERENCE(UCS, UCS PRIVATE)},
    {"uri-template", TEMPLATE},
    {"json-pointer", POINTER},
    {"relative-json-pointer", "(0|[1-9]\\d*)(#|" POINTER ")"},
    {"regex", NULL},
};

const char *format_pattern(cllm_string name, bool *known) {
    *known = false;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!schema_same_text(name, (cllm_string){formats[i].name, strlen(formats[i].name)})) continue;
        *known = true;
        return formats[i].pattern;
    }
    return NULL;
}
