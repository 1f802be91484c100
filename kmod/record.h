/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flow records: what each flow inside the tunnel did, for whoever keeps books.
 * A table of flows of its own, there while records are on; a worker sends what
 * has ended and, every so often, what goes on.
 */
#ifndef _TR_RECORD_H
#define _TR_RECORD_H

#include <linux/types.h>

struct tr_device;
struct tr_packet;
struct tr_records;
struct tr_result;

/*
 * Flows at once, and records of flows that had to make room and wait to be
 * sent. 8 MiB together.
 */
#define TR_RECORDS_FLOWS 65536
#define TR_RECORDS_RING 4096

#define TR_RECORDS_SECONDS_MAX 86400

/**
 * tr_records_new() - the memory of a device's records
 * @tdev: device
 *
 * Process context. Return: for tr_records_set() or tr_records_free(), or NULL.
 */
struct tr_records *tr_records_new(struct tr_device *tdev);
/* Of what has not been given to tr_records_set(). */
void tr_records_free(struct tr_records *records);

/**
 * tr_records_set() - switch records on or off
 * @tdev: device, its namespace's lock held
 * @seconds: between two records of a flow that goes on; 0: off, what is on
 *	record is sent
 * @fresh: to be used if they are off as yet, else NULL
 *
 * Process context.
 */
void tr_records_set(struct tr_device *tdev, u32 seconds,
		    struct tr_records *fresh);

/* 0: they are off. @tn->lock held. */
u32 tr_records_seconds(const struct tr_device *tdev);

/**
 * tr_records_note() - put a packet to its flow's account
 * @records: of the device
 * @pkt: parsed
 * @res: what became of it
 * @in: from the peer
 * @packets: GRO and GSO make one of many
 *
 * RCU read side, BH disabled. Takes the lock of one bucket; if that is full, a
 * flow goes to the ring, and is lost when that is full.
 */
void tr_records_note(struct tr_records *records, const struct tr_packet *pkt,
		     const struct tr_result *res, bool in, u32 packets);

#endif
