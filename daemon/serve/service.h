/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the service manager stops or restarts the service, as seen by its ExecStopPost= process. */
#pragma once

enum service_end {
        SERVICE_NONE,       /* this process is no ExecStopPost= */
        SERVICE_STOPPED,    /* it was stopped on purpose */
        SERVICE_RESTARTING, /* it was stopped to be started again, as for an upgrade */
        SERVICE_FAILED,     /* it has crashed, hung or was killed */
};

/*
 * Reads $SERVICE_RESULT (systemd.exec(5)) and asks the manager for the unit's job. If the manager does not answer:
 * SERVICE_STOPPED.
 */
enum service_end service_end(void);
