/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mount points of cgroup hierarchies, which users often include when they copy the path of a cgroup. */
#pragma once

/*
 * The part of @path, a path or a glob, below such a mount point; "/" for the mount point itself, and @path where it is
 * below none. The result is constant, or a part of @path.
 */
const char *strip_mount(const char *path);
