(* Theorem 3.1's codes (claim P2f): "E(X) = Y^*" does not follow, though D = D^*, since L_ND sees
   Top_m(E(X)) only; and signs are free. d = K = 2, m = 1, D^* = [e_1, e_2], X = [2 e_1, e_2],
   p = (1/2, 1/2): the minimum of L_ND is 1/2, at D^* with E(X) = [(2,1), (1/2,1)], whose largest
   entries are Y^*, and at - D^* with - Y^*. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31 Theorem31Order.
Import ListNotations.
Open Scope R_scope.

Definition signed_codes (e : R) : mat := columns [[2 * e; 0]; [0; e]].
Definition signed_basis (e : R) : mat := columns [[e; 0]; [0; e]].
Definition scaled_samples : mat := product 2 basis (signed_codes 1).
Definition latents : mat := columns [[2; 1]; [1/2; 1]].

Lemma scaled_truth : truth 2 2 2 1 scaled_samples basis (signed_codes 1).
Proof.
  split.
  - apply basis_unit.
  - apply basis_spark.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj H. left.
    revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

Lemma scaled_bound D Y : unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  1/2 <= nested_code_loss 2 2 2 half scaled_samples D Y.
Proof.
  intros U S. destruct (slots_bound 2 2 2 half scaled_samples D Y) as [s [Hs B]]; auto.
  { apply law_of_full_support, half_full_support. }
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (unit_in_the_plane 2 D 0 U ltac:(lia)).
  pose proof (unit_in_the_plane 2 D 1 U ltac:(lia)).
  pose proof (Rle_0_sqr (D 0%nat 0%nat)). pose proof (Rle_0_sqr (D 1%nat 0%nat)).
  pose proof (Rle_0_sqr (D 0%nat 1%nat)). pose proof (Rle_0_sqr (D 1%nat 1%nat)).
  unfold Rsqr in *.
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)); generalize (s 0%nat) (s 1%nat).
  intros s0 s1 ? ?; each s0; each s1; numbers; lra.
Qed.

Lemma scaled_consistent Z : consistent 2 2 2 scaled_samples Z.
Proof.
  intros n n' Hn Hn' H. pose proof (H 0%nat ltac:(lia)) as H0. revert H0.
  each n; each n'; auto; numbers; lra.
Qed.

Lemma top_of_latents j n : (j < 2)%nat -> (n < 2)%nat ->
  top 2 1 (col latents n) j = signed_codes 1 j n.
Proof.
  intros Hj Hn. unfold top, rank. simpl. unfold beats.
  each n; each j; unfold col, latents, columns; simpl; unfold Rabs;
    repeat (destruct (Rcase_abs _); try lra);
    repeat (destruct (Rlt_dec _ _); try lra);
    repeat (destruct (Req_EM_T _ _); try lra); numbers; lra.
Qed.

Theorem latents_are_not_the_codes : ~ theorem_3_1_at 2 2 1 (full_support 2) (same_latents 2).
Proof.
  intros T.
  destruct (encoder_exists 2 2 2 scaled_samples latents (scaled_consistent _)) as [E [HE H]].
  assert (C : forall j n, (j < 2)%nat -> (n < 2)%nat ->
    codes 2 1 scaled_samples E j n = signed_codes 1 j n).
  { intros j n Hj Hn. unfold codes. rewrite (top_ext 2 1 _ (col latents n)); auto.
    now apply top_of_latents. intros; now apply H. }
  assert (M : minimises 2 2 (nested_loss 2 2 2 1 half scaled_samples) basis E).
  { split; [split; [apply basis_unit|exact HE]|]. intros D' E' U' HE'.
    rewrite nested_loss_of_codes, (nested_code_loss_ext 2 2 2 half _ basis _ (signed_codes 1));
      auto.
    replace (nested_code_loss _ _ _ _ _ _ _) with (1/2) by (numbers; lra).
    apply least_over_encoders with (1 := scaled_bound); auto. }
  pose proof (T 2%nat half _ _ _ _ _ half_full_support scaled_truth M) as Q.
  specialize (Q 1%nat 0%nat ltac:(lia) ltac:(lia)). rewrite H in Q by lia.
  revert Q. numbers. lra.
Qed.

Theorem signs_are_free : ~ theorem_3_1_at 2 2 1 (full_support 2) (same_atoms 2 2).
Proof.
  apply (refutes_theorem 2 2 2 1 half (full_support 2) (same_atoms 2 2)
           scaled_samples basis (signed_codes 1) (signed_basis (-1)) (signed_codes (-1))).
  - apply half_full_support.
  - apply scaled_truth.
  - intros j Hj; each j; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj H. left.
    revert H; each j; each n; numbers; auto; lra.
  - apply scaled_consistent.
  - intros D Y U S. replace (nested_code_loss _ _ _ _ _ (signed_basis _) _) with (1/2)
      by (numbers; lra).
    now apply scaled_bound.
  - intros E R. pose proof (R 0%nat 0%nat ltac:(lia) ltac:(lia)) as Q. revert Q. numbers. lra.
Qed.
