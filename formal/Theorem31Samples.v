(* Theorem 3.1 fails for want of samples (claim P2d): a spark above 2m makes codes unique for a known
   dictionary, not the dictionary. One sample, m = 1, d = 2, K = 3: any second and third atom will
   do. With every atom used, d = K = 4, m = 2, p uniform: D^* the basis, samples 4 e_1 + 3 e_2 and
   4 e_3 + 3 e_4; L_ND has a minimiser whose first two atoms are the samples' directions, 25/4. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31Overcomplete.
Import ListNotations.
Open Scope R_scope.

Definition one_code : mat := columns [[1; 0; 0]].
Definition one_sample : mat := product 3 three_atoms one_code.
Definition other_atoms : mat := columns [[1; 0]; [5/13; 12/13]; [-4/5; 3/5]].

Lemma one_sample_truth : truth 2 3 1 1 one_sample three_atoms one_code.
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

Lemma nested_code_loss_nonneg d K N p X D Y : law K p -> 0 <= nested_code_loss d K N p X D Y.
Proof.
  intros [P _]. apply sum_nonneg; intros k Hk. apply Rmult_le_pos; auto using code_loss_nonneg.
Qed.

Theorem unused_atoms_are_free : ~ theorem_3_1_at 2 3 1 (full_support 3) (recovered 2 3).
Proof.
  apply (refutes_theorem 2 3 1 1 third (full_support 3) (recovered 2 3)
           one_sample three_atoms one_code other_atoms one_code).
  - apply third_full_support.
  - apply one_sample_truth.
  - intros j Hj; each j; numbers; lra.
  - apply (true_sparse _ _ _ _ _ _ _ one_sample_truth).
  - eapply truth_consistent, one_sample_truth.
  - intros D Y U S. replace (nested_code_loss 2 3 1 third one_sample other_atoms one_code) with 0
      by (numbers; lra).
    apply nested_code_loss_nonneg, law_of_full_support, third_full_support.
  - intros E R. destruct (R 1%nat) as [k [Hk [P|P]]]; [lia| |];
      pose proof (P 0%nat ltac:(lia)) as P0; revert P0; each k; numbers; lra.
Qed.

(* Every atom used. *)
Definition fourth : vec := fun _ => /4.
Definition basis_of_four : mat := columns [[1; 0; 0; 0]; [0; 1; 0; 0]; [0; 0; 1; 0]; [0; 0; 0; 1]].
Definition pair_codes : mat := columns [[4; 3; 0; 0]; [0; 0; 4; 3]].
Definition pair_samples : mat := product 4 basis_of_four pair_codes.

Lemma fourth_full_support : full_support 4 fourth.
Proof. split; [intros; unfold fourth; lra|]. unfold fourth; simpl; lra. Qed.

Lemma pair_truth : truth 4 4 2 2 pair_samples basis_of_four pair_codes.
Proof.
  split.
  - intros j Hj; each j; numbers; lra.
  - intros c _ H j Hj. pose proof (H j Hj) as E. revert E. each j; numbers; lra.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [2 * n; 2 * n + 1]%nat. split; auto. intros j Hj.
    each n; each j; numbers; intros; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

(* The first prefix has one atom, which explains 25 of the 50 at most, and of D^* 16. *)
Definition first_prefix (D Y : mat) : R := code_loss 4 2 pair_samples 1 D Y.

Lemma first_prefix_part D Y : /4 * first_prefix D Y <= nested_code_loss 4 4 2 fourth pair_samples
  D Y.
Proof.
  apply (sum_term_le 4 0 (fun k => fourth k * code_loss 4 2 pair_samples (S k) D Y)); [lia|].
  intros k Hk. apply Rmult_le_pos; [unfold fourth; lra|apply code_loss_nonneg].
Qed.

Lemma first_prefix_saved D Y : unit_norm 4 4 D ->
  50 - (4 * D 0%nat 0%nat + 3 * D 1%nat 0%nat) * (4 * D 0%nat 0%nat + 3 * D 1%nat 0%nat)
     - (4 * D 2%nat 0%nat + 3 * D 3%nat 0%nat) * (4 * D 2%nat 0%nat + 3 * D 3%nat 0%nat)
  <= first_prefix D Y.
Proof.
  intros U. pose proof (U 0%nat ltac:(lia)) as N. revert N. numbers.
  generalize (D 0%nat 0%nat) (D 1%nat 0%nat) (D 2%nat 0%nat) (D 3%nat 0%nat)
    (Y 0%nat 0%nat) (Y 0%nat 1%nat). intros a b c e u v N.
  assert (Nu : u * u * (a * a + b * b + c * c + e * e) = u * u)
    by (replace (a * a + b * b + c * c + e * e) with 1 by lra; ring).
  assert (Nv : v * v * (a * a + b * b + c * c + e * e) = v * v)
    by (replace (a * a + b * b + c * c + e * e) with 1 by lra; ring).
  pose proof (Rle_0_sqr (u - (4 * a + 3 * b))). pose proof (Rle_0_sqr (v - (4 * c + 3 * e))).
  unfold Rsqr in *. lra.
Qed.

Lemma pair_bound D Y : unit_norm 4 4 D -> sparse_columns 4 2 2 Y ->
  25/4 <= nested_code_loss 4 4 2 fourth pair_samples D Y.
Proof.
  intros U _. pose proof (first_prefix_part D Y). pose proof (first_prefix_saved D Y U).
  pose proof (U 0%nat ltac:(lia)) as N. unfold norm2, dot, col in N; simpl in N.
  pose proof (Rle_0_sqr (3 * D 0%nat 0%nat - 4 * D 1%nat 0%nat)).
  pose proof (Rle_0_sqr (3 * D 2%nat 0%nat - 4 * D 3%nat 0%nat)). unfold Rsqr in *. lra.
Qed.

Lemma pair_at_truth D Y : unit_norm 4 4 D -> atoms_among 4 4 basis_of_four D ->
  34/4 <= nested_code_loss 4 4 2 fourth pair_samples D Y.
Proof.
  intros U A. pose proof (first_prefix_part D Y). pose proof (first_prefix_saved D Y U).
  destruct (A 0%nat) as [k [Hk [P|P]]]; [lia| |];
    generalize (P 0%nat ltac:(lia)) (P 1%nat ltac:(lia)) (P 2%nat ltac:(lia)) (P 3%nat ltac:(lia));
    unfold col; intros E0 E1 E2 E3; rewrite E0, E1, E2, E3 in *; clear - H H0 Hk;
    revert H H0; generalize (first_prefix D Y) (nested_code_loss 4 4 2 fourth pair_samples D Y);
    intros f g; each k; numbers; lra.
Qed.

Definition own_directions : mat :=
  columns [[4/5; 3/5; 0; 0]; [0; 0; 4/5; 3/5]; [-3/5; 4/5; 0; 0]; [0; 0; -3/5; 4/5]].
Definition own_codes : mat := columns [[5; 0; 0; 0]; [0; 5; 0; 0]].

Theorem too_few_samples_never_recover :
  theorem_3_1_never_at 4 4 2 (full_support 4) (recovered 4 4).
Proof.
  assert (L : nested_code_loss 4 4 2 fourth pair_samples own_directions own_codes = 25/4)
    by (numbers; lra).
  apply (never_minimises 4 4 2 2 fourth (full_support 4) (recovered 4 4)
           pair_samples basis_of_four pair_codes own_directions own_codes).
  - apply fourth_full_support.
  - apply pair_truth.
  - intros j Hj; each j; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj. each n; each j; numbers; intros; auto; lra.
  - intros n n' Hn Hn' H. pose proof (H 0%nat ltac:(lia)) as H0. revert H0.
    each n; each n'; numbers; intros; auto; lra.
  - intros D Y U S. rewrite L. now apply pair_bound.
  - intros D Y E U S A. rewrite L. pose proof (pair_at_truth D Y U A). lra.
Qed.
