/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The insides of the map types and programs that objsize.h measures: only the fields that are read, and empty structs
 * where only the size is asked for. Every map type embeds struct bpf_map at offset 0, so a map's address is its
 * container's. A name with ___suffix adds fields to a type of kerneltypes.h, or is an older or newer shape of a type.
 */
#pragma once

#include "kerneltypes.h"
#include "newtypes.h"

struct btf_field {
        u32 offset;
} CORE;

struct btf_record { /* in 6.12, not in 6.1 */
        u32 cnt;
} CORE;

struct bpf_map___size {
        struct btf_record *record;
        bool bypass_spec_v1;
} CORE;

struct bpf_map_owner { /* in 6.18, not in 6.12 */
        bool jited;
} CORE;

struct bpf_map___owner {
        struct bpf_map_owner *owner; /* in 6.12 a struct without a name, in struct bpf_map itself */
} CORE;

/* include/linux/bpf_mem_alloc.h */
struct bpf_mem_alloc {
        struct bpf_mem_cache *cache; /* per CPU */
} CORE;

/* kernel/bpf/percpu_freelist.h */
struct pcpu_freelist_head {
        void *first;
} CORE;

/* include/linux/bpf.h, kernel/bpf/arraymap.c */
struct bpf_array {
        u32 elem_size;
        u32 index_mask;
        void *pptrs[1]; /* per CPU; as many as entries */
} CORE;

struct bpf_array_aux {
        struct bpf_map *map;
} CORE;

/* include/linux/bpf.h, in a perf event array */
struct bpf_event_entry {
        int unused;
} CORE;

/* kernel/bpf/hashtab.c */
struct bucket {
        int unused;
} CORE;

struct htab_elem {
        u32 hash;
} CORE;

struct bpf_htab {
        struct bpf_mem_alloc ma;
        struct bpf_mem_alloc pcpu_ma;
        void *extra_elems; /* per CPU */
        struct percpu_counter pcount;
        atomic_t count;
        bool use_percpu_counter;
        u32 n_buckets;
        u32 elem_size;
} CORE;

struct bpf_htab___map_locked { /* in 6.12, not in 6.18 */
        int *map_locked[8];
} CORE;

/* kernel/bpf/bpf_lru_list.h */
struct bpf_lru_list {
        int unused;
} CORE;

struct bpf_lru_locallist {
        int unused;
} CORE;

/* kernel/bpf/lpm_trie.c */
struct lpm_trie_node {
        u32 prefixlen;
} CORE;

struct lpm_trie {
        u64 n_entries;
        u64 data_size;
} CORE;

struct lpm_trie___ma { /* in 6.18, not in 6.12 */
        struct bpf_mem_alloc ma;
} CORE;

/* kernel/bpf/queue_stack_maps.c */
struct bpf_queue_stack {
        u32 head;
        u32 tail;
        u32 size;
} CORE;

/* kernel/bpf/stackmap.c */
struct stack_map_bucket {
        u32 nr;
} CORE;

struct bpf_stack_map {
        u32 n_buckets;
} CORE;

/* kernel/bpf/bloom_filter.c */
struct bpf_bloom_filter {
        u32 bitset_mask;
} CORE;

/* kernel/bpf/ringbuf.c */
struct bpf_ringbuf {
        struct page **pages;
        int nr_pages;
} CORE;

struct bpf_ringbuf_map {
        struct bpf_ringbuf *rb;
} CORE;

/* kernel/bpf/devmap.c */
struct bpf_dtab_netdev {
        unsigned int idx;
} CORE;

struct bpf_dtab {
        struct bpf_dtab_netdev **netdev_map;
        unsigned int items;
        u32 n_buckets;
} CORE;

/* kernel/bpf/cpumap.c, include/linux/ptr_ring.h */
struct xdp_bulk_queue {
        unsigned int count;
} CORE;

struct ptr_ring {
        int size;
} CORE;

struct bpf_cpu_map_entry {
        struct ptr_ring *queue;
} CORE;

struct bpf_cpu_map {
        struct bpf_cpu_map_entry **cpu_map;
} CORE;

/* net/core/sock_map.c */
struct bpf_stab {
        int unused;
} CORE;

struct bpf_shtab_bucket {
        int unused;
} CORE;

struct bpf_shtab {
        u32 buckets_num;
        u32 elem_size;
        atomic_t count;
} CORE;

/* include/net/xdp_sock.h, net/xdp/xsk.h */
struct xdp_sock;

struct xsk_map_node {
        int unused;
} CORE;

struct xsk_map {
        struct xdp_sock *xsk_map[1]; /* as many as entries */
} CORE;

/* kernel/bpf/reuseport_array.c */
struct reuseport_array {
        int unused;
} CORE;

struct list_head {
        struct list_head *next;
} CORE;

struct hlist_node {
        struct hlist_node *next;
} CORE;

struct hlist_head {
        struct hlist_node *first;
} CORE;

/* kernel/bpf/local_storage.c, include/linux/bpf-cgroup.h */
struct bpf_storage_buffer {
        int unused;
} CORE;

struct bpf_cgroup_storage {
        int unused;
} CORE;

struct bpf_cgroup_storage_map {
        struct list_head list;
} CORE;

/* include/linux/bpf_local_storage.h */
struct bpf_local_storage {
        int unused;
} CORE;

struct bpf_local_storage_elem {
        struct hlist_node map_node;
        struct hlist_node snode;
} CORE;

struct bpf_local_storage_map_bucket {
        struct hlist_head list;
} CORE;

struct bpf_local_storage_map {
        struct bpf_local_storage_map_bucket *buckets;
        u32 bucket_log;
        u16 elem_size;
} CORE;

struct bpf_local_storage_map___ma { /* in 6.12 and 6.18, neither in 6.1 nor in 7.2 */
        struct bpf_mem_alloc selem_ma;
        struct bpf_mem_alloc storage_ma;
} CORE;

/* kernel/bpf/bpf_struct_ops.c */
struct bpf_struct_ops_value {
        int unused;
} CORE;

struct bpf_struct_ops_map {
        void *image_pages[8];
        u32 image_pages_cnt;
        u32 funcs_cnt;
        struct bpf_ksym **ksyms;
} CORE;

struct btf_type {
        u32 info;
} CORE;

struct bpf_struct_ops {
        const struct btf_type *type;
} CORE;

struct bpf_struct_ops_map___before69 {
        const struct bpf_struct_ops *st_ops;
} CORE;

struct bpf_ksym {
        unsigned long start;
} CORE;

struct bpf_tramp_link {
        u64 cookie;
} CORE;

/* kernel/bpf/arena.c, kernel/bpf/range_tree.c */
struct rb_node {
        unsigned long __rb_parent_color;
        struct rb_node *rb_right;
        struct rb_node *rb_left;
} CORE;

struct rb_root {
        struct rb_node *rb_node;
} CORE;

struct rb_root_cached {
        struct rb_root rb_root;
} CORE;

struct range_node {
        struct rb_node rn_rbnode;
        u32 rn_start;
        u32 rn_last;
} CORE;

struct range_tree {
        struct rb_root_cached it_root;
} CORE;

struct maple_tree {
        void *ma_root;
} CORE;

struct bpf_arena {
        struct maple_tree mt; /* until 6.12: the pages that are in use */
} CORE;

struct bpf_arena___range_tree { /* since 6.13: those that are not */
        struct range_tree rt;
} CORE;

struct bpf_arena___scratch_page { /* in 7.2, not in 6.18 */
        void *scratch_page;
} CORE;

/* kernel/bpf/bpf_insn_array.c */
struct bpf_insn_array_value {
        u32 orig_off;
} CORE;

struct bpf_insn_array {
        int unused;
} CORE;

/* kernel/bpf/hashtab.c, include/linux/rhashtable-types.h */
struct rhash_lock_head;

struct bucket_table {
        unsigned int size;
} CORE;

struct rhashtable {
        struct bucket_table *tbl;
        atomic_t nelems;
} CORE;

struct bpf_rhtab {
        struct rhashtable ht;
        struct bpf_mem_alloc ma;
        u32 elem_size;
} CORE;

/* include/linux/bpf.h: what a program keeps besides its instructions */
struct bpf_prog_stats {
        int unused;
} CORE;

struct btf_mod_pair {
        int unused;
} CORE;

struct bpf_func_info_aux {
        u16 linkage;
} CORE;

struct bpf_jit_poke_descriptor {
        int unused;
} CORE;

struct bpf_kfunc_btf_tab {
        u32 nr_descs;
} CORE;

struct bpf_ctx_arg_aux {
        u32 offset;
        bool refcounted; /* in 6.18, not in 6.12 */
} CORE;

struct bpf_prog_aux___size {
        u32 used_map_cnt;
        u32 used_btf_cnt;
        u32 stack_depth;
        u32 func_cnt;
        u32 ctx_arg_info_size;
        u32 size_poke_tab;
        u32 func_info_cnt;
        u32 nr_linfo;
        u32 num_exentries;
        struct bpf_prog___size **func;
        void *kfunc_btf_tab;
        void *jited_linfo;
} CORE;

struct bpf_prog_aux___real_func_cnt { /* in 6.12, not in 6.1 */
        u32 real_func_cnt;
} CORE;

struct bpf_prog_aux___priv_stack { /* in 6.18, not in 6.12 */
        void *priv_stack_ptr;
} CORE;

struct bpf_stream {
        int unused;
} CORE;

struct bpf_prog_aux___stream { /* in 6.18, not in 6.12 */
        struct bpf_stream stream[2];
} CORE;

struct bpf_prog___size {
        u16 pages;
        u32 jited_len;
        void *stats;
        void *bpf_func;
        struct bpf_prog_aux___size *aux;
} CORE;

struct bpf_binary_header {
        u32 size;
} CORE;
