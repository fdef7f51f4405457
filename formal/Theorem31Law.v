(* Theorem 3.1 fails with the law on {1..m}, as the paper prints it (claim P2e): d = K = 2, m = 1,
   D^* = [(1,0), (3/5,4/5)], X = D^*, all mass on l = 1. The minimum of L_ND is 2/5, with the first
   atom along (2,1) and the second arbitrary; at D^*, in either order, it is 16/25 or more. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31.
Import ListNotations.
Open Scope R_scope.

(* Positive on prefix lengths 1..m, 0 on the others. *)
Definition support_to (K m : nat) (p : vec) : Prop :=
  (forall k, (k < K)%nat -> if (k <? m)%nat then 0 < p k else p k = 0) /\ sum K p = 1.

Definition first_only : vec := entries [1; 0].

Lemma first_only_support : support_to 2 1 first_only.
Proof. split; [intros k Hk; each k; numbers; lra|numbers; lra]. Qed.

Lemma first_only_law : law 2 first_only.
Proof. split; [intros k Hk; each k; numbers; lra|numbers; lra]. Qed.

Lemma first_bound D Y : unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  2/5 <= nested_code_loss 2 2 2 first_only two_samples D Y.
Proof.
  intros U S. destruct (slots_bound 2 2 2 first_only two_samples D Y) as [s [Hs B]];
    auto using first_only_law.
  eapply Rle_trans; [|exact B]. clear B. simpl.
  destruct (two_samples_saved _ _ (unit_in_the_plane 2 D 0 U ltac:(lia))) as [A0 [A1 A]].
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)); generalize (s 0%nat) (s 1%nat).
  intros s0 s1 ? ?; each s0; each s1; numbers; lra.
Qed.

Lemma first_at_truth D Y :
  unit_norm 2 2 D -> sparse_columns 2 2 1 Y -> atoms_among 2 2 two_atoms D ->
  16/25 <= nested_code_loss 2 2 2 first_only two_samples D Y.
Proof.
  intros U S A. destruct (true_atoms_bound 2 2 2 first_only two_samples two_atoms D Y)
    as [s [k [Hs [Hk B]]]]; auto using first_only_law.
  eapply Rle_trans; [|exact B]. clear B. numbers.
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)) (Hk 0%nat ltac:(lia))
    (Hk 1%nat ltac:(lia)). generalize (s 0%nat) (s 1%nat).
  intros s0 s1 ? ?; each s0; each s1; generalize (k 0%nat) (k 1%nat);
    intros k0 k1 ? ?; each k0; each k1; numbers; lra.
Qed.

Theorem law_to_m_never_recovers : theorem_3_1_never_at 2 2 1 (support_to 2 1) (recovered 2 2).
Proof.
  assert (L : nested_code_loss 2 2 2 first_only two_samples merged_two merged_two_codes = 2/5). {
    unfold merged_two_codes. rewrite on_slots_loss.
    - pose proof (inverse_root 5 ltac:(lra)). numbers. lra.
    - apply first_only_law.
    - apply merged_two_unit.
    - intros; lia. }
  apply (never_minimises 2 2 2 1 first_only (support_to 2 1) (recovered 2 2)
           two_samples two_atoms two_codes merged_two merged_two_codes).
  - apply first_only_support.
  - apply two_atoms_truth.
  - apply merged_two_unit.
  - apply on_slots_sparse.
  - intros n n' _ _ _ j _. reflexivity.
  - intros D Y U S. rewrite L. now apply first_bound.
  - intros D Y E U S A. rewrite L. pose proof (first_at_truth D Y U S A). lra.
Qed.
