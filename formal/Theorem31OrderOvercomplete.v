(* Theorem 3.1's order is false for an overcomplete dictionary too (claim P2a): d = 2, K = 3,
   m = 1, D^* = [(1,0), (3/5,4/5), (0,1)], p = (1/20, 1/20, 9/10). Atom 1 occurs 3 times with value
   1, atom 2 twice with value 10, atom 3 once with value 1. The minimum of L_ND is 1/4, in the order
   2, 1, 3; by frequency it is 101/10 or more, whatever the encoder. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31Overcomplete.
Import ListNotations.
Open Scope R_scope.

Definition late : vec := entries [1/20; 1/20; 9/10].

Lemma late_full_support : full_support 3 late.
Proof. split; [intros k Hk; each k; numbers; lra|numbers; lra]. Qed.

Definition six_codes : mat :=
  columns [[1; 0; 0]; [1; 0; 0]; [1; 0; 0]; [0; 10; 0]; [0; 10; 0]; [0; 0; 1]].
Definition six_samples : mat := product 3 three_atoms six_codes.
Definition ray_of : nat -> nat := slots [0; 0; 0; 1; 1; 2]%nat.
Definition value_of : vec := entries [1; 1; 1; 10; 10; 1].

Lemma six_truth : truth 2 3 6 1 six_samples three_atoms six_codes.
Proof.
  split.
  - apply three_atoms_unit.
  - apply three_atoms_spark.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [ray_of n]. split; auto.
    intros j Hj H. left. revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

Lemma six_slots D Y : unit_norm 2 3 D -> sparse_columns 3 6 1 Y ->
  exists slot, (forall k, (slot k < 3)%nat) /\
  sum 6 (fun n => value_of n * value_of n * (norm2 2 (col three_atoms (ray_of n))
    - survival 3 late (slot (ray_of n)) * (dot 2 (col D (slot (ray_of n)))
        (col three_atoms (ray_of n))
      * dot 2 (col D (slot (ray_of n))) (col three_atoms (ray_of n)))))
  <= nested_code_loss 2 3 6 late six_samples D Y.
Proof.
  intros U S. apply (rays_bound 2 3 6 late six_samples D Y (col three_atoms)); auto; try lia.
  - apply law_of_full_support, late_full_support.
  - intros n i Hn Hi. each n; each i; numbers; lra.
Qed.

Ltac each_ray s Hs :=
  numbers; generalize (Hs 0%nat) (Hs 1%nat) (Hs 2%nat); generalize (s 0%nat) (s 1%nat) (s 2%nat);
  intros s0 s1 s2 ? ? ?; each s0; each s1; each s2.

Lemma six_bound D Y : unit_norm 2 3 D -> sparse_columns 3 6 1 Y ->
  1/4 <= nested_code_loss 2 3 6 late six_samples D Y.
Proof.
  intros U S. destruct (six_slots D Y U S) as [s [Hs B]].
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 0 U ltac:(lia))) as A.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 1 U ltac:(lia))) as B.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 2 U ltac:(lia))) as C.
  simpl in A, B, C. each_ray s Hs; numbers; lra.
Qed.

Lemma by_frequency_bound D Y : unit_norm 2 3 D -> sparse_columns 3 6 1 Y ->
  (forall j, (j < 3)%nat -> parallel 2 (col D j) (col three_atoms j)) ->
  101/10 <= nested_code_loss 2 3 6 late six_samples D Y.
Proof.
  intros U S P. destruct (six_slots D Y U S) as [s [Hs B]].
  eapply Rle_trans; [|exact B]. clear B.
  rewrite (sum_ext 6 _ (fun n => value_of n * value_of n * (norm2 2 (col three_atoms (ray_of n))
    - survival 3 late (s (ray_of n)) * (dot 2 (col three_atoms (s (ray_of n)))
        (col three_atoms (ray_of n))
      * dot 2 (col three_atoms (s (ray_of n))) (col three_atoms (ray_of n)))))).
  - each_ray s Hs; numbers; lra.
  - intros n Hn. now rewrite (parallel_saves 2 (col D _) (col three_atoms (s (ray_of n)))) by auto.
Qed.

Definition energy_order : mat := columns [[3/5; 4/5]; [1; 0]; [0; 1]].
Definition energy_order_codes : mat :=
  on_slots (slots [1; 1; 1; 0; 0; 2]%nat) (entries [1; 1; 1; 10; 10; 1]).

Lemma energy_order_unit : unit_norm 2 3 energy_order.
Proof. intros j Hj; each j; numbers; lra. Qed.

Lemma energy_order_loss :
  nested_code_loss 2 3 6 late six_samples energy_order energy_order_codes = 1/4.
Proof.
  unfold energy_order_codes. rewrite on_slots_loss.
  - numbers. lra.
  - apply law_of_full_support, late_full_support.
  - apply energy_order_unit.
  - intros n Hn. each n; numbers; lia.
Qed.

Theorem frequency_order_is_never_minimal_overcomplete :
  theorem_3_1_never_at 2 3 1 (full_support 3) (same_order 2 3).
Proof.
  apply (never_minimises 2 3 6 1 late (full_support 3) (same_order 2 3)
           six_samples three_atoms six_codes energy_order energy_order_codes).
  - apply late_full_support.
  - apply six_truth.
  - apply energy_order_unit.
  - apply on_slots_sparse.
  - intros n n' Hn Hn' H. pose proof (H 0%nat ltac:(lia)) as H0. revert H0.
    each n; each n'; numbers; intros; auto; lra.
  - intros D Y U S. rewrite energy_order_loss. now apply six_bound.
  - intros D Y E U S P. rewrite energy_order_loss. pose proof (by_frequency_bound D Y U S P). lra.
Qed.
