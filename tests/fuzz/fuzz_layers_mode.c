// SPDX-License-Identifier: Apache-2.0
//
// The mode rules. Input: two bytes of permission bits, then the rule. Whatever is taken gives at most 07777.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "layers/mode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t bits = (uint32_t)data[0] << 8 | data[1];
    AUTO_FREE char *text = mem_strndup((const char *)data + 2, size - 2);
    struct error err = ERROR_INIT;
    struct mode_rule rule;
    if (mode_parse(&rule, text, &err) == 0)
        if (mode_apply(&rule, bits, false) > 07777 || mode_apply(&rule, bits, true) > 07777)
            abort();
    error_clear(&err);
    return 0;
}
