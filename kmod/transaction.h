/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policies under construction. Each belongs to the netlink socket that began
 * it and goes with that.
 */
#ifndef _TR_TRANSACTION_H
#define _TR_TRANSACTION_H

#include <linux/types.h>

struct netlink_ext_ack;
struct tr_device;
struct tr_policy;

/* At once for one device. */
#define TR_TRANSACTIONS_MAX 4

/**
 * tr_transaction_begin() - start a policy
 * @tdev: device, its namespace's lock held
 * @portid: of the netlink socket; what it began before is forgotten
 * @extack: text on error
 *
 * Return: 0, -EBUSY or -ENOMEM.
 */
int tr_transaction_begin(struct tr_device *tdev, u32 portid,
			 struct netlink_ext_ack *extack);

/* The socket's policy or NULL with a text. The namespace's lock held. */
struct tr_policy *tr_transaction_policy(struct tr_device *tdev, u32 portid,
					struct netlink_ext_ack *extack);

/* Ends the transaction; its policy, or NULL with a text, is the caller's. */
struct tr_policy *tr_transaction_end(struct tr_device *tdev, u32 portid,
				     struct netlink_ext_ack *extack);

/* Forgets the socket's transaction, or all if @portid is 0. Lock as above. */
void tr_transactions_drop(struct tr_device *tdev, u32 portid);

#endif
