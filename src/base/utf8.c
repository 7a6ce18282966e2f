/* Implements the one function of utf8.h that is not inline. */
#include "base/utf8.h"

size_t utf8_encode(uint32_t code_point, char *to) {
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t length = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code_point >>= 6) to[i] = (char)(0x80 | (code_point & 0x3F));
    to[0] = (char)(leads[length] | code_point);
    return length;
}
