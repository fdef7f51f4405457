(* Claim T3c, m = 1, K > d. What holds, for any d and K (Welch): (K - d) <= d (K - 1) mu^2, so
   mu > 1/K, while a law that does not increase has p_K <= 1/K; hence p_K < mu, and the condition
   mu < p_K under which D^* is recovered (claim T3) is never met.

   What does not: that D^*, with equal energies, is in no order a minimiser of L_ND. d = 2, K = 3,
   D^* = X = [(1,0), (24/25,7/25), (24/25,-7/25)], p uniform: the minimum, 98/625, is attained at
   D^* by the encoder that puts all samples on atom 1. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances GreedyUniqueness
  Lemma31Overcomplete.
Import ListNotations.
Open Scope R_scope.

(* ||D^T D||_F^2 = ||D D^T||_F^2. *)
Lemma gram_squares d K D :
  sum K (fun j => sum K (fun k => dot d (col D j) (col D k) * dot d (col D j) (col D k)))
  = sum d (fun i => sum d (fun h =>
      sum K (fun j => D i j * D h j) * sum K (fun j => D i j * D h j))).
Proof.
  transitivity (sum K (fun j => sum K (fun k => sum d (fun i => sum d (fun h =>
    D i j * D i k * (D h j * D h k)))))).
  - apply sum_ext; intros j _. apply sum_ext; intros k _. unfold dot. now rewrite sum_mult.
  - rewrite (sum_ext K _ (fun j => sum d (fun i => sum d (fun h => sum K (fun k =>
      D i j * D i k * (D h j * D h k)))))).
    + rewrite sum_swap. apply sum_ext; intros i _. rewrite sum_swap. apply sum_ext; intros h _.
      rewrite sum_mult. apply sum_ext; intros j _. apply sum_ext; intros k _. ring.
    + intros j _. rewrite sum_swap. apply sum_ext; intros i _. now rewrite sum_swap.
Qed.

Lemma sum_const n c : sum n (fun _ => c) = INR n * c.
Proof. induction n as [|n IH]; [simpl; ring|]. rewrite S_INR. simpl. rewrite IH. ring. Qed.

(* The trace of D D^T is K, so its squares sum to K^2 / d or more. *)
Lemma gram_squares_from_below d K D : (0 < d)%nat -> unit_norm d K D ->
  INR K * INR K <= INR d *
  sum K (fun j => sum K (fun k => dot d (col D j) (col D k) * dot d (col D j) (col D k))).
Proof.
  intros Hd U. rewrite gram_squares. set (T := fun i => sum K (fun j => D i j * D i j)).
  assert (Tr : sum d T = INR K).
  { unfold T. rewrite sum_swap, (sum_ext K _ (fun _ => 1)), sum_const; [ring|]. exact U. }
  assert (Dg : sum d (fun i => T i * T i) <= sum d (fun i => sum d (fun h =>
      sum K (fun j => D i j * D h j) * sum K (fun j => D i j * D h j)))).
  { apply sum_le; intros i Hi.
    apply (sum_term_le d i (fun h => sum K (fun j => D i j * D h j)
      * sum K (fun j => D i j * D h j)));
      auto. intros; apply Rle_0_sqr. }
  assert (Nd : 0 < INR d) by now apply lt_0_INR.
  assert (Sq : 0 <= sum d (fun i => (INR d * T i - INR K) * (INR d * T i - INR K)))
    by (apply sum_nonneg; intros; apply Rle_0_sqr).
  rewrite (sum_ext d _ (fun i => INR d * INR d * (T i * T i) - 2 * INR d * INR K * T i
    + INR K * INR K)) in Sq by (intros; ring).
  rewrite sum_plus, sum_minus, !sum_scal, sum_const, Tr in Sq.
  apply Rle_trans with (INR d * sum d (fun i => T i * T i)).
  - apply Rmult_le_reg_l with (INR d); auto. lra.
  - apply Rmult_le_compat_l; [lra|exact Dg].
Qed.

Lemma gram_squares_from_above d K D mu : unit_norm d K D -> coherence_at_most d K D mu ->
  sum K (fun j => sum K (fun k => dot d (col D j) (col D k) * dot d (col D j) (col D k)))
  <= INR K + INR K * (INR K - 1) * (mu * mu).
Proof.
  intros U [Mu C].
  apply Rle_trans with (sum K (fun j => mu * mu * INR K + (1 - mu * mu))).
  - apply sum_le; intros j Hj.
    rewrite (sum_ext K _ (fun k => mu * mu + ((dot d (col D j) (col D k) * dot d (col D j)
      (col D k))
      - mu * mu))) by (intros; ring).
    rewrite sum_plus, sum_const. apply Rplus_le_compat; [lra|].
    apply Rle_trans with (sum K (fun k => if (k =? j)%nat then 1 - mu * mu else 0)).
    + apply sum_le; intros k Hk. destruct (Nat.eqb_spec k j) as [->|N].
      * fold (norm2 d (col D j)). rewrite (U j Hj). lra.
      * pose proof (C j k Hj Hk ltac:(auto)) as B. pose proof (Rabs_pos (dot d (col D j)
          (col D k))).
        rewrite <- (Rabs_pos_eq mu Mu) in B. apply Rsqr_le_abs_1 in B. unfold Rsqr in B. lra.
    + rewrite (sum_single K j), Nat.eqb_refl; auto; [lra|].
      intros k _ N. now apply Nat.eqb_neq in N as ->.
  - rewrite sum_const. lra.
Qed.

Theorem welch_bound d K D mu : (0 < d < K)%nat -> unit_norm d K D -> coherence_at_most d K D mu ->
  INR K - INR d <= INR d * (INR K - 1) * (mu * mu).
Proof.
  intros [Hd HK] U C. pose proof (gram_squares_from_below d K D Hd U) as B.
  pose proof (gram_squares_from_above d K D mu U C) as A.
  assert (Nd : 0 < INR d) by now apply lt_0_INR.
  assert (NK : 0 < INR K) by (apply lt_0_INR; lia).
  apply (Rmult_le_compat_l (INR d)) in A; [|lra].
  apply Rmult_le_reg_l with (INR K); auto. lra.
Qed.

Definition non_increasing (K : nat) (p : vec) : Prop :=
  forall j k, (j <= k < K)%nat -> p k <= p j.

Theorem no_non_increasing_law_exceeds_the_coherence d K D mu p : (0 < d < K)%nat ->
  unit_norm d K D -> coherence_at_most d K D mu -> law K p -> non_increasing K p ->
  p (K - 1)%nat < mu.
Proof.
  intros H U C [P S] D'. pose proof (welch_bound d K D mu H U C) as W.
  pose proof (le_INR 1 d ltac:(lia)) as D1. simpl in D1.
  pose proof (le_INR (Datatypes.S d) K ltac:(lia)) as Kd. rewrite S_INR in Kd.
  assert (L : INR K * p (K - 1)%nat <= 1).
  { rewrite <- S, <- sum_const. apply sum_le; intros k Hk. apply D'. lia. }
  destruct C as [Mu _].
  (* t = (K - 1) mu has t^2 >= 1, so t >= 1 and K mu = t + mu > 1. *)
  assert (T : 1 <= (INR K - 1) * mu * ((INR K - 1) * mu)).
  { assert (INR d * ((INR K - 1) * (mu * mu)) <= (INR K - 1) * ((INR K - 1) * (mu * mu))).
    { apply Rmult_le_compat_r; [|lra]. apply Rmult_le_pos; [lra|nra]. }
    lra. }
  assert (t : 0 <= (INR K - 1) * mu) by (apply Rmult_le_pos; lra).
  assert (T1 : 1 <= (INR K - 1) * mu) by nra.
  assert (0 < mu) by nra.
  apply Rmult_lt_reg_l with (INR K); [lra|]. lra.
Qed.

(* The fan: all samples on (1,0). *)
Definition fan : mat := columns [[1; 0]; [24/25; 7/25]; [24/25; -7/25]].
Definition fan_samples : mat := product 3 fan three_codes.

Lemma fan_unit : unit_norm 2 3 fan.
Proof. intros j Hj; each j; numbers; lra. Qed.

Lemma fan_truth : truth 2 3 3 1 fan_samples fan three_codes.
Proof.
  split.
  - apply fan_unit.
  - apply spark_in_the_plane; [apply fan_unit|].
    intros j k Hj Hk N; each j; each k; numbers; intros E; lra || lia.
  - intros j n Hj Hn; each j; each n; numbers; lra.
  - intros n Hn. exists [n]. split; auto. intros j Hj H. left.
    revert H; each j; each n; numbers; auto; lra.
  - intros j k Hjk. each k; each j; count.
  - reflexivity.
Qed.

Lemma fan_saved a b : a * a + b * b = 1 ->
  let q1 := a * a in let q2 := (24/25 * a + 7/25 * b) * (24/25 * a + 7/25 * b) in
  let q3 := (24/25 * a - 7/25 * b) * (24/25 * a - 7/25 * b) in
  q1 <= 1 /\ q2 <= 1 /\ q3 <= 1 /\ q1 + q2 <= 49/25 /\ q1 + q3 <= 49/25 /\ q2 + q3 <= 1152/625 /\
  q1 + q2 + q3 <= 1777/625.
Proof.
  intros H. simpl. pose proof (Rle_0_sqr b). pose proof (Rle_0_sqr (7 * a - 24 * b)).
  pose proof (Rle_0_sqr (7 * a + 24 * b)). pose proof (Rle_0_sqr (a - 7 * b)).
  pose proof (Rle_0_sqr (a + 7 * b)). unfold Rsqr in *. repeat split; lra.
Qed.

Lemma fan_bound D Y : unit_norm 2 3 D -> sparse_columns 3 3 1 Y ->
  98/625 <= nested_code_loss 2 3 3 third fan_samples D Y.
Proof.
  intros U S. destruct (slots_bound 2 3 3 third fan_samples D Y) as [s [Hs B]]; auto; try lia.
  { apply law_of_full_support, third_full_support. }
  eapply Rle_trans; [|exact B]. clear B. simpl.
  pose proof (fan_saved _ _ (unit_in_the_plane 3 D 0 U ltac:(lia))) as A.
  pose proof (fan_saved _ _ (unit_in_the_plane 3 D 1 U ltac:(lia))) as B.
  pose proof (fan_saved _ _ (unit_in_the_plane 3 D 2 U ltac:(lia))) as C.
  simpl in A, B, C.
  generalize (Hs 0%nat ltac:(lia)) (Hs 1%nat ltac:(lia)) (Hs 2%nat ltac:(lia)).
  generalize (s 0%nat) (s 1%nat) (s 2%nat).
  intros s0 s1 s2 ? ? ?. each s0; each s1; each s2; numbers; lra.
Qed.

(* As first claimed: with equal energies D^* is not a minimiser, whatever the encoder. *)
Definition energy (N : nat) (Y : mat) (j : nat) : R := sum N (fun n => Y j n * Y j n).
Definition truth_never_minimises : Prop := forall d K N p X Ds Ys, (d < K)%nat ->
  full_support K p -> non_increasing K p -> truth d K N 1 X Ds Ys ->
  (exists e, 0 < e /\ forall j, (j < K)%nat -> energy N Ys j = e) ->
  forall E, ~ minimises d K (nested_loss d K N 1 p X) Ds E.

Theorem truth_can_be_a_minimiser : ~ truth_never_minimises.
Proof.
  intros H.
  assert (L : nested_code_loss 2 3 3 third fan_samples fan
    (on_slots (fun _ => 0%nat) (entries [1; 24/25; 24/25])) = 98/625).
  { rewrite on_slots_loss.
    - numbers. lra.
    - apply law_of_full_support, third_full_support.
    - apply fan_unit.
    - intros; lia. }
  destruct (minimiser_of_codes 2 3 3 1 third fan_samples fan
    (on_slots (fun _ => 0%nat) (entries [1; 24/25; 24/25]))) as [E [M _]].
  - apply fan_unit.
  - apply on_slots_sparse.
  - intros n n' Hn Hn' Same j _.
    pose proof (Same 0%nat ltac:(lia)) as S0. pose proof (Same 1%nat ltac:(lia)) as S1.
    revert S0 S1. each n; each n'; numbers; intros; auto; lra.
  - intros D Y U S. rewrite L. now apply fan_bound.
  - apply (H 2%nat 3%nat 3%nat third fan_samples fan three_codes ltac:(lia)) in M; auto.
    + apply third_full_support.
    + intros j k _. unfold third. lra.
    + apply fan_truth.
    + exists 1. split; [lra|]. intros j Hj; each j; numbers; lra.
Qed.
