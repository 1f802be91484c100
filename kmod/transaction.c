// SPDX-License-Identifier: GPL-2.0
#include <linux/netlink.h>
#include <linux/slab.h>

#include "device.h"
#include "policy.h"
#include "transaction.h"

/**
 * struct tr_transaction - a policy under construction
 * @list: in tr_device.transactions
 * @portid: its owner
 * @policy: not compiled yet
 */
struct tr_transaction {
	struct list_head list;
	u32 portid;
	struct tr_policy *policy;
};

static void destroy(struct tr_transaction *txn)
{
	list_del(&txn->list);
	tr_policy_free(txn->policy);
	kfree(txn);
}

void tr_transactions_drop(struct tr_device *tdev, u32 portid)
{
	struct tr_transaction *txn, *next;

	lockdep_assert_held(&tdev->tn->lock);
	list_for_each_entry_safe(txn, next, &tdev->transactions, list) {
		if (!portid || txn->portid == portid)
			destroy(txn);
	}
}

int tr_transaction_begin(struct tr_device *tdev, u32 portid,
			 struct netlink_ext_ack *extack)
{
	struct tr_transaction *txn;
	unsigned int n = 0;

	tr_transactions_drop(tdev, portid);
	list_for_each_entry(txn, &tdev->transactions, list)
		n++;
	if (n >= TR_TRANSACTIONS_MAX) {
		NL_SET_ERR_MSG(extack, "too many policy transactions are open");
		return -EBUSY;
	}
	txn = kzalloc(sizeof(*txn), GFP_KERNEL_ACCOUNT);
	if (!txn)
		return -ENOMEM;
	txn->portid = portid;
	txn->policy = tr_policy_new();
	if (!txn->policy) {
		kfree(txn);
		return -ENOMEM;
	}
	list_add_tail(&txn->list, &tdev->transactions);
	return 0;
}

static struct tr_transaction *find(struct tr_device *tdev, u32 portid,
				   struct netlink_ext_ack *extack)
{
	struct tr_transaction *txn;

	lockdep_assert_held(&tdev->tn->lock);
	list_for_each_entry(txn, &tdev->transactions, list) {
		if (txn->portid == portid)
			return txn;
	}
	NL_SET_ERR_MSG(extack, "no policy transaction of this socket is open");
	return NULL;
}

struct tr_policy *tr_transaction_policy(struct tr_device *tdev, u32 portid,
					struct netlink_ext_ack *extack)
{
	struct tr_transaction *txn = find(tdev, portid, extack);

	return txn ? txn->policy : NULL;
}

struct tr_policy *tr_transaction_end(struct tr_device *tdev, u32 portid,
				     struct netlink_ext_ack *extack)
{
	struct tr_transaction *txn = find(tdev, portid, extack);
	struct tr_policy *policy;

	if (!txn)
		return NULL;
	policy = txn->policy;
	txn->policy = NULL;
	destroy(txn);
	return policy;
}
