(* Theorem 3.1's order is false (claim P2a): energy decides, not frequency. d = K = 2, m = 1,
   D^* = [e_1, e_2] orthonormal, p = (1/2, 1/2); atom 1 occurs 3 times with value 1, atom 2 twice
   with value 10. The minimum of L_ND is 3/2, with atom 2 first; by frequency it is 100 or more,
   whatever the encoder. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31.
Import ListNotations.
Open Scope R_scope.

Definition basis : mat := columns [[1; 0]; [0; 1]].
Definition uneven_codes : mat := columns [[1; 0]; [1; 0]; [1; 0]; [0; 10]; [0; 10]].
Definition uneven_samples : mat := product 2 basis uneven_codes.

Lemma basis_unit : unit_norm 2 2 basis.
Proof. intros j Hj; each j; numbers; lra. Qed.

Lemma basis_spark : spark_above 2 2 basis 2.
Proof.
  apply spark_in_the_plane; [apply basis_unit|].
  intros j k Hj Hk N; each j; each k; numbers; intros E; lra || lia.
Qed.

Lemma uneven_truth : truth 2 2 5 1 uneven_samples basis uneven_codes.
Proof.
  split.
  - apply basis_unit.
  - apply basis_spark.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [if (n <? 3)%nat then 0%nat else 1%nat]. split; auto.
    intros j Hj H. left. revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

Lemma uneven_slots D Y : unit_norm 2 2 D -> sparse_columns 2 5 1 Y ->
  exists slot, (forall n, (n < 5)%nat -> (slot n < 2)%nat) /\
  sum 5 (fun n => norm2 2 (col uneven_samples n) - survival 2 half (slot n) *
    (dot 2 (col D (slot n)) (col uneven_samples n) * dot 2 (col D (slot n)) (col uneven_samples n)))
  <= nested_code_loss 2 2 5 half uneven_samples D Y.
Proof. intros. apply slots_bound; auto. apply law_of_full_support, half_full_support. Qed.

Ltac each_slot s Hs :=
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)) (Hs 2%nat ltac:(lia))
    (Hs 3%nat ltac:(lia)) (Hs 4%nat ltac:(lia));
  generalize (s 0%nat) (s 1%nat) (s 2%nat) (s 3%nat) (s 4%nat);
  intros s0 s1 s2 s3 s4 ? ? ? ? ?; each s0; each s1; each s2; each s3; each s4.

Lemma uneven_bound D Y : unit_norm 2 2 D -> sparse_columns 2 5 1 Y ->
  3/2 <= nested_code_loss 2 2 5 half uneven_samples D Y.
Proof.
  intros U S. destruct (uneven_slots D Y U S) as [s [Hs B]].
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (unit_in_the_plane 2 D 0 U ltac:(lia)).
  pose proof (unit_in_the_plane 2 D 1 U ltac:(lia)).
  pose proof (Rle_0_sqr (D 0%nat 0%nat)). pose proof (Rle_0_sqr (D 1%nat 0%nat)).
  pose proof (Rle_0_sqr (D 0%nat 1%nat)). pose proof (Rle_0_sqr (D 1%nat 1%nat)).
  unfold Rsqr in *. each_slot s Hs; numbers; lra.
Qed.

Lemma by_frequency_bound D Y : unit_norm 2 2 D -> sparse_columns 2 5 1 Y ->
  (forall j, (j < 2)%nat -> parallel 2 (col D j) (col basis j)) ->
  100 <= nested_code_loss 2 2 5 half uneven_samples D Y.
Proof.
  intros U S P. destruct (uneven_slots D Y U S) as [s [Hs B]].
  eapply Rle_trans; [|exact B]. clear B.
  rewrite (sum_ext 5 _ (fun n => norm2 2 (col uneven_samples n) - survival 2 half (s n) *
    (dot 2 (col basis (s n)) (col uneven_samples n)
     * dot 2 (col basis (s n)) (col uneven_samples n)))).
  - simpl. each_slot s Hs; numbers; lra.
  - intros n Hn. rewrite (parallel_saves 2 (col D (s n)) (col basis (s n))); auto.
Qed.

(* By energy: atom 2 in slot 1. *)
Definition by_energy : mat := columns [[0; 1]; [1; 0]].
Definition by_energy_codes : mat :=
  on_slots (slots [1; 1; 1; 0; 0]%nat) (entries [1; 1; 1; 10; 10]).

Lemma by_energy_loss : nested_code_loss 2 2 5 half uneven_samples by_energy by_energy_codes = 3/2.
Proof.
  unfold by_energy_codes. rewrite on_slots_loss.
  - numbers. lra.
  - apply law_of_full_support, half_full_support.
  - intros j Hj; each j; numbers; lra.
  - intros n Hn. each n; numbers; lia.
Qed.

Theorem frequency_order_is_never_minimal :
  theorem_3_1_never_at 2 2 1 (full_support 2) (same_order 2 2).
Proof.
  apply (never_minimises 2 2 5 1 half (full_support 2) (same_order 2 2)
           uneven_samples basis uneven_codes by_energy by_energy_codes).
  - apply half_full_support.
  - apply uneven_truth.
  - intros j Hj; each j; numbers; lra.
  - apply on_slots_sparse.
  - intros n n' Hn Hn' H. pose proof (H 0%nat ltac:(lia)) as H0. revert H0.
    each n; each n'; numbers; intros; auto; lra.
  - intros D Y U S. rewrite by_energy_loss. now apply uneven_bound.
  - intros D Y E U S P. rewrite by_energy_loss. pose proof (by_frequency_bound D Y U S P). lra.
Qed.

Theorem theorem_3_1_is_false : ~ theorem_3_1.
Proof.
  intros L. apply (theorem_3_1_at_never 2 2 1 _ _ frequency_order_is_never_minimal).
  apply theorem_3_1_at_of; auto. intros N X Ds Ys D E H _ j Hj. left. intros i Hi. now apply H.
Qed.
