/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relations of an object that can be requested: --holders, --pins and --uses, and the same parameters in varlink.
 */
#pragma once

enum relation {
        RELATION_HOLDERS = 1 << 0, /* the processes that hold it open */
        RELATION_PINS = 1 << 1,    /* its paths in bpffs */
        RELATION_USES = 1 << 2,    /* the maps of a program, the programs of a map */
};
