// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/module.h>
#include <net/genetlink.h>

#include "device.h"
#include "netlink.h"

static int __init main_init(void)
{
	int ret;

	ret = tr_device_init();
	if (ret)
		return ret;
	ret = tr_netlink_init();
	if (ret)
		goto err_device;
	return 0;

err_device:
	tr_device_uninit();
	return ret;
}

static void __exit main_exit(void)
{
	tr_netlink_uninit();
	tr_device_uninit();
}

module_init(main_init);
module_exit(main_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Tailscale-protocol data path around WireGuard");
/* As agent/version.h has it: "tailrace doctor" compares. */
MODULE_VERSION("0.1.0");
MODULE_ALIAS_GENL_FAMILY(TAILRACE_FAMILY_NAME);
/* Devices to attach to, but not its symbols. */
MODULE_SOFTDEP("pre: wireguard");
