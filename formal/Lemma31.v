(* Lemma 3.1 is false (claim P1): d = K = 2, m = 1, p = (1/2, 1/2), two atoms at cosine 3/5.

   D^* = [(1,0), (3/5,4/5)], X = D^*, so Y^* = I. L_ND has a minimiser with both samples on one atom
   along (2,1), L_ND = 2/5, where L_K = 2/5 too, though L_K = 0 with D = D^*, Y = Y^*.
   Lemma31Overcomplete.v has the same for K > d. *)
From Coq Require Import Reals Lra Lia List Psatz.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances.
Import ListNotations.
Open Scope R_scope.

Definition half : vec := fun _ => /2.

Lemma half_full_support : full_support 2 half.
Proof. split; [intros; unfold half; lra|]. unfold half; simpl; lra. Qed.

(* Two atoms, one sample on each. *)
Definition two_atoms : mat := columns [[1; 0]; [3/5; 4/5]].
Definition two_codes : mat := columns [[1; 0]; [0; 1]].
Definition two_samples : mat := product 2 two_atoms two_codes.

Lemma two_atoms_truth : truth 2 2 2 1 two_samples two_atoms two_codes.
Proof.
  assert (U : unit_norm 2 2 two_atoms)
    by (intros j Hj; each j; numbers; lra).
  split; auto.
  - apply spark_in_the_plane; auto. intros j k Hj Hk N; each j; each k; numbers; intros E;
      lra || lia.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj H. left.
    revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
Qed.

(* What a unit atom explains of the two samples. *)
Lemma two_samples_saved a b : a * a + b * b = 1 ->
  a * a <= 1 /\ (3/5 * a + 4/5 * b) * (3/5 * a + 4/5 * b) <= 1 /\
  a * a + (3/5 * a + 4/5 * b) * (3/5 * a + 4/5 * b) <= 8/5.
Proof.
  intros H. pose proof (Rle_0_sqr b). pose proof (Rle_0_sqr (4/5 * a - 3/5 * b)).
  pose proof (Rle_0_sqr (a - 2 * b)). unfold Rsqr in *. lra.
Qed.

Lemma two_bound D Y : unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  2/5 <= nested_code_loss 2 2 2 half two_samples D Y.
Proof.
  intros U S.
  destruct (slots_bound 2 2 2 half two_samples D Y) as [s [Hs B]]; auto.
  { apply law_of_full_support, half_full_support. }
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (Hs 0%nat ltac:(lia)) as H0. pose proof (Hs 1%nat ltac:(lia)) as H1.
  destruct (two_samples_saved _ _ (unit_in_the_plane 2 D 0 U ltac:(lia))) as [A0 [A1 A]].
  destruct (two_samples_saved _ _ (unit_in_the_plane 2 D 1 U ltac:(lia))) as [B0 [B1 B']].
  revert H0 H1. generalize (s 0%nat) (s 1%nat). intros s0 s1 H0 H1.
  each s0; each s1; numbers; lra.
Qed.

(* Both samples on the atom along (2,1). *)
Definition merged_two : mat := columns [[2 * (1 / sqrt 5); 1 / sqrt 5]; [1; 0]].
Definition merged_two_codes : mat :=
  on_slots (fun _ => 0%nat) (fun _ => 2 * (1 / sqrt 5)).

Lemma merged_two_unit : unit_norm 2 2 merged_two.
Proof.
  pose proof (inverse_root 5 ltac:(lra)).
  intros j Hj; each j; numbers; lra.
Qed.

Lemma merged_two_loss :
  nested_code_loss 2 2 2 half two_samples merged_two merged_two_codes = 2/5.
Proof.
  unfold merged_two_codes. rewrite on_slots_loss.
  - pose proof (inverse_root 5 ltac:(lra)).
    numbers. lra.
  - apply law_of_full_support, half_full_support.
  - apply merged_two_unit.
  - intros; lia.
Qed.

Lemma merged_two_full_loss : 0 < code_loss 2 2 two_samples 2 merged_two merged_two_codes.
Proof.
  pose proof (inverse_root 5 ltac:(lra)).
  numbers. nra.
Qed.

Theorem lemma_3_1_is_false_for_two_atoms : ~ lemma_3_1_at 2 2 1.
Proof.
  apply (refutes_lemma 2 2 2 1 half two_samples two_atoms two_codes merged_two merged_two_codes).
  - apply half_full_support.
  - apply two_atoms_truth.
  - apply merged_two_unit.
  - apply on_slots_sparse.
  - intros n n' _ _ _ j _. reflexivity.
  - intros D Y U S. rewrite merged_two_loss. now apply two_bound.
  - apply merged_two_full_loss.
Qed.

Theorem lemma_3_1_is_false : ~ lemma_3_1.
Proof.
  intros L. apply lemma_3_1_is_false_for_two_atoms, lemma_3_1_at_of; auto.
Qed.
