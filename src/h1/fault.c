#include "h1/fault.h"

const struct fg_h1_fault_info *fg_h1_fault_info(enum fg_h1_fault fault)
{
    static const struct fg_h1_fault_info rows[FG_H1_FAULT_LEN] = {
#define X(name, status, reason) [FG_H1_FAULT_##name] = {#name, status, reason},
        FG_H1_FAULTS(X)
#undef X
    };
    return &rows[fault];
}
