#include "h2/fault.h"

static const struct fg_h2_fault_info faults[] = {
#define X(name, scope, code, weight, reason)                                                                           \
    [FG_H2_FAULT_##name] = {#name, reason, FG_H2_SCOPE_##scope, weight, FG_H2_##code},
    FG_H2_FAULTS(X)
#undef X
};

const struct fg_h2_fault_info *fg_h2_fault_info(enum fg_h2_fault fault)
{
    return &faults[fault];
}
