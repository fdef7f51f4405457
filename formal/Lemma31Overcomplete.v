(* Lemma 3.1 is false for an overcomplete dictionary (claim P1): d = 2, K = 3, m = 1, p uniform.

   D^* = [(1,0), (3/5,4/5), (0,1)], X = D^*, so Y^* = I. L_ND has a minimiser with atoms 2 and 3
   merged along (1,3), L_ND = 8/15, where L_K = 1/5, though L_K = 0 with D = D^*, Y = Y^*. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances.
Import ListNotations.
Open Scope R_scope.

Definition third : vec := fun _ => /3.

Lemma third_full_support : full_support 3 third.
Proof. split; [intros; unfold third; lra|]. unfold third; simpl; lra. Qed.

Definition three_atoms : mat := columns [[1; 0]; [3/5; 4/5]; [0; 1]].
Definition three_codes : mat := columns [[1; 0; 0]; [0; 1; 0]; [0; 0; 1]].
Definition three_samples : mat := product 3 three_atoms three_codes.

Lemma three_atoms_unit : unit_norm 2 3 three_atoms.
Proof. intros j Hj; each j; numbers; lra. Qed.

Lemma three_atoms_spark : spark_above 2 3 three_atoms 2.
Proof.
  apply spark_in_the_plane; [apply three_atoms_unit|].
  intros j k Hj Hk N; each j; each k; numbers; intros E; lra || lia.
Qed.

Lemma three_atoms_truth : truth 2 3 3 1 three_samples three_atoms three_codes.
Proof.
  split.
  - apply three_atoms_unit.
  - apply three_atoms_spark.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj H. left.
    revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

(* What a unit atom explains of the three samples, by the subset that it serves. *)
Lemma three_samples_saved a b : a * a + b * b = 1 ->
  let q1 := a * a in let q2 := (3/5 * a + 4/5 * b) * (3/5 * a + 4/5 * b) in let q3 := b * b in
  q1 <= 1 /\ q2 <= 1 /\ q3 <= 1 /\ q1 + q2 <= 8/5 /\ q2 + q3 <= 9/5 /\ q1 + q3 = 1 /\
  0 <= q1 /\ 0 <= q2 /\ 0 <= q3.
Proof.
  intros H. simpl. pose proof (Rle_0_sqr a). pose proof (Rle_0_sqr b).
  pose proof (Rle_0_sqr (4/5 * a - 3/5 * b)). pose proof (Rle_0_sqr (3/5 * a + 4/5 * b)).
  pose proof (Rle_0_sqr (a - 2 * b)). pose proof (Rle_0_sqr (3 * a - b)). unfold Rsqr in *.
  repeat split; lra.
Qed.

Lemma three_bound D Y : unit_norm 2 3 D -> sparse_columns 3 3 1 Y ->
  8/15 <= nested_code_loss 2 3 3 third three_samples D Y.
Proof.
  intros U S.
  destruct (slots_bound 2 3 3 third three_samples D Y) as [s [Hs B]]; auto; try lia.
  { apply law_of_full_support, third_full_support. }
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (Hs 0%nat ltac:(lia)) as H0. pose proof (Hs 1%nat ltac:(lia)) as H1.
  pose proof (Hs 2%nat ltac:(lia)) as H2.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 0 U ltac:(lia))) as A.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 1 U ltac:(lia))) as B.
  pose proof (three_samples_saved _ _ (unit_in_the_plane 3 D 2 U ltac:(lia))) as C.
  simpl in A, B, C. revert H0 H1 H2. generalize (s 0%nat) (s 1%nat) (s 2%nat).
  intros s0 s1 s2 H0 H1 H2. each s0; each s1; each s2; numbers; lra.
Qed.

(* Sample 1 on its own atom in slot 2; samples 2 and 3 on the atom along (1,3) in slot 1. *)
Definition merged_three : mat := columns [[1 / sqrt 10; 3 * (1 / sqrt 10)]; [1; 0]; [0; 1]].
Definition merged_three_codes : mat :=
  on_slots (slots [1; 0; 0]%nat) (entries [1; 3 * (1 / sqrt 10); 3 * (1 / sqrt 10)]).

Lemma merged_three_unit : unit_norm 2 3 merged_three.
Proof.
  pose proof (inverse_root 10 ltac:(lra)). intros j Hj; each j; numbers; lra.
Qed.

Lemma merged_three_loss :
  nested_code_loss 2 3 3 third three_samples merged_three merged_three_codes = 8/15.
Proof.
  unfold merged_three_codes. rewrite on_slots_loss.
  - pose proof (inverse_root 10 ltac:(lra)). numbers. lra.
  - apply law_of_full_support, third_full_support.
  - apply merged_three_unit.
  - intros n Hn. each n; numbers; lia.
Qed.

Lemma merged_three_full_loss : 0 < code_loss 2 3 three_samples 3 merged_three merged_three_codes.
Proof.
  pose proof (inverse_root 10 ltac:(lra)) as H. numbers. revert H.
  generalize (1 / sqrt 10). intros t H. assert (t * t * (t * t) = 1/100) by (rewrite H; lra). lra.
Qed.

Lemma merged_three_consistent : consistent 2 3 3 three_samples merged_three_codes.
Proof.
  intros n n' Hn Hn' H. pose proof (H 0%nat ltac:(lia)) as H0. revert H0.
  each n; each n'; numbers; intros; auto; lra.
Qed.

Theorem lemma_3_1_is_false_overcomplete : ~ lemma_3_1_at 2 3 1.
Proof.
  apply (refutes_lemma 2 3 3 1 third three_samples three_atoms three_codes
           merged_three merged_three_codes).
  - apply third_full_support.
  - apply three_atoms_truth.
  - apply merged_three_unit.
  - apply on_slots_sparse.
  - apply merged_three_consistent.
  - intros D Y U S. rewrite merged_three_loss. now apply three_bound.
  - apply merged_three_full_loss.
Qed.
