#include "eval/report/vega.h"

// SHELFCAST_VEGA_BUNDLE is the path of the script; the assembler copies it into the program.
__asm__(
    ".section .rodata\n"
    ".global shelfcast_vega_begin\n"
    "shelfcast_vega_begin:\n"
    ".incbin \"" SHELFCAST_VEGA_BUNDLE
    "\"\n"
    ".global shelfcast_vega_end\n"
    "shelfcast_vega_end:\n"
    ".previous\n");

extern "C" {
extern const char shelfcast_vega_begin[];
extern const char shelfcast_vega_end[];
}

namespace shelfcast::eval {

std::string_view vega_script() { return {shelfcast_vega_begin, shelfcast_vega_end}; }

}  // namespace shelfcast::eval
