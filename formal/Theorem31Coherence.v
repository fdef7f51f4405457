(* Theorem 3.1 fails for coherent atoms (claim P2b), m = 1, all frequencies and energies equal.
   Two atoms, p = (1/2, 1/2): the minimum of L_ND is 2/5 with the atoms merged, and 1/2 or more at
   D^*, in either order, with any signs and any encoder. Overcomplete, three atoms in the plane, p
   uniform: 8/15, and 52/75 or more at D^*. The instances are those of Lemma31.v and
   Lemma31Overcomplete.v. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31 Lemma31Overcomplete.
Import ListNotations.
Open Scope R_scope.

Lemma two_at_truth D Y : unit_norm 2 2 D -> sparse_columns 2 2 1 Y -> atoms_among 2 2 two_atoms D ->
  1/2 <= nested_code_loss 2 2 2 half two_samples D Y.
Proof.
  intros U S A. destruct (true_atoms_bound 2 2 2 half two_samples two_atoms D Y)
    as [s [k [Hs [Hk B]]]]; auto.
  { apply law_of_full_support, half_full_support. }
  eapply Rle_trans; [|exact B]. clear B. numbers.
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)) (Hk 0%nat ltac:(lia))
    (Hk 1%nat ltac:(lia)). generalize (s 0%nat) (s 1%nat).
  intros s0 s1 ? ?; each s0; each s1; generalize (k 0%nat) (k 1%nat);
    intros k0 k1 ? ?; each k0; each k1; numbers; lra.
Qed.

Theorem coherent_atoms_are_never_recovered :
  theorem_3_1_never_at 2 2 1 (full_support 2) (recovered 2 2).
Proof.
  apply (never_minimises 2 2 2 1 half (full_support 2) (recovered 2 2)
           two_samples two_atoms two_codes merged_two merged_two_codes).
  - apply half_full_support.
  - apply two_atoms_truth.
  - apply merged_two_unit.
  - apply on_slots_sparse.
  - intros n n' _ _ _ j _. reflexivity.
  - intros D Y U S. rewrite merged_two_loss. now apply two_bound.
  - intros D Y E U S A. rewrite merged_two_loss. pose proof (two_at_truth D Y U S A). lra.
Qed.

(* What atom k of D^* saves of the three samples is a mean, with weights 0 and 1, of what the
   atoms do: a form in which linear arithmetic can go through all orders at once. *)
Definition saved (k n : nat) : R :=
  dot 2 (col three_atoms k) (col three_samples n) * dot 2 (col three_atoms k) (col three_samples n).

Lemma saved_is_a_mean k : (k < 3)%nat -> exists a b c, 0 <= a /\ 0 <= b /\ 0 <= c /\
  a + b + c = 1 /\
  saved k 0 = a + 9/25 * b /\ saved k 1 = 9/25 * a + b + 16/25 * c /\ saved k 2 = 16/25 * b + c.
Proof.
  intros Hk. exists (if (k =? 0)%nat then 1 else 0), (if (k =? 1)%nat then 1 else 0),
    (if (k =? 2)%nat then 1 else 0).
  each k; numbers; repeat split; lra.
Qed.

Lemma three_at_truth D Y :
  unit_norm 2 3 D -> sparse_columns 3 3 1 Y -> atoms_among 2 3 three_atoms D ->
  52/75 <= nested_code_loss 2 3 3 third three_samples D Y.
Proof.
  intros U S A. destruct (true_atoms_bound 2 3 3 third three_samples three_atoms D Y)
    as [s [k [Hs [Hk B]]]]; auto; try lia.
  { apply law_of_full_support, third_full_support. }
  eapply Rle_trans; [|exact B]. clear B. simpl.
  change (dot 2 (col three_atoms ?k) (col three_samples ?n) * _) with (saved k n).
  destruct (saved_is_a_mean (k 0%nat)) as [a0 [b0 [c0 M0]]]; [apply Hk; lia|].
  destruct (saved_is_a_mean (k 1%nat)) as [a1 [b1 [c1 M1]]]; [apply Hk; lia|].
  destruct (saved_is_a_mean (k 2%nat)) as [a2 [b2 [c2 M2]]]; [apply Hk; lia|].
  assert (N : norm2 2 (col three_samples 0) = 1 /\ norm2 2 (col three_samples 1) = 1 /\
    norm2 2 (col three_samples 2) = 1) by (numbers; repeat split; lra).
  assert (W : survival 3 third 0 = 1 /\ survival 3 third 1 = 2/3 /\ survival 3 third 2 = 1/3)
    by (numbers; repeat split; lra).
  destruct W as [W0 [W1 W2]].
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)) (Hs 2%nat ltac:(lia)).
  generalize (s 0%nat) (s 1%nat) (s 2%nat).
  intros s0 s1 s2 ? ? ?; each s0; each s1; each s2; rewrite ?W0, ?W1, ?W2; lra.
Qed.

Theorem coherent_atoms_are_never_recovered_overcomplete :
  theorem_3_1_never_at 2 3 1 (full_support 3) (recovered 2 3).
Proof.
  apply (never_minimises 2 3 3 1 third (full_support 3) (recovered 2 3)
           three_samples three_atoms three_codes merged_three merged_three_codes).
  - apply third_full_support.
  - apply three_atoms_truth.
  - apply merged_three_unit.
  - apply on_slots_sparse.
  - apply merged_three_consistent.
  - intros D Y U S. rewrite merged_three_loss. now apply three_bound.
  - intros D Y E U S A. rewrite merged_three_loss. pose proof (three_at_truth D Y U S A). lra.
Qed.
