(* The residual not squared, F = ||X - D Y||_F + lambda L_q, and why it is exact. Where the residual
   grows at least as c times the distance to an exact factorisation and L_q is Lipschitz there, no
   nearby point is as good for lambda < c / Lip (local_growth); if elsewhere the residual is at
   least eta, the minimisers are exactly the factorisations of least L_q (exact_penalty). Both are
   stated for points of any kind, with the growth, the Lipschitz constant and eta as hypotheses:
   that factorisations which are unique have them, by injectivity of the linearised map and by
   compactness, is not formalised.

   In full, with the definitions of the paper's losses, for the two atoms of Lemma31.v, q all on
   l = 1 and 0 < lambda <= 1: the minimisers of F are exact factorisations with the atoms of D^*
   (two_atoms_by_exact_penalty), where L_ND's merge the atoms for p = (1/2, 1/2). *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Lemma31.
Import ListNotations.
Open Scope R_scope.

Lemma not_below x y b : Rabs (x - y) <= b -> - b <= x - y.
Proof. unfold Rabs. destruct (Rcase_abs _); lra. Qed.

Theorem local_growth (Point : Type) (r L distance : Point -> R) (truth : Point) c Lip lambda rho :
  (forall t, distance t < rho -> c * distance t <= r t) ->
  (forall t, distance t < rho -> Rabs (L t - L truth) <= Lip * distance t) ->
  r truth = 0 -> 0 < lambda -> lambda * Lip < c ->
  forall t, 0 < distance t < rho -> r truth + lambda * L truth < r t + lambda * L t.
Proof.
  intros G Li Z Hl B t [P N]. pose proof (G t N). pose proof (Li t N) as A.
  apply not_below in A. rewrite Z.
  pose proof (Rmult_le_compat_l lambda _ _ (Rlt_le _ _ Hl) A).
  pose proof (Rmult_lt_compat_r _ _ _ P B). lra.
Qed.

(* zero 0, ..., zero (q-1) are the exact factorisations, best the one of least L. *)
Theorem exact_penalty (Point : Type) (r L : Point -> R) (q : nat) (zero : nat -> Point)
  (distance : nat -> Point -> R) (best : nat) c Lip eta lambda :
  (forall i, (i < q)%nat -> r (zero i) = 0) ->
  (forall t, 0 <= L t) ->
  (forall t, eta <= r t \/ exists i, (i < q)%nat /\ 0 <= distance i t /\
    (distance i t = 0 -> t = zero i) /\ c * distance i t <= r t /\
    Rabs (L t - L (zero i)) <= Lip * distance i t) ->
  (best < q)%nat -> (forall i, (i < q)%nat -> L (zero best) <= L (zero i)) ->
  0 < lambda -> lambda * Lip < c -> lambda * L (zero best) < eta ->
  forall t, (forall t', r t + lambda * L t <= r t' + lambda * L t') <->
            exists i, (i < q)%nat /\ t = zero i /\ L (zero i) = L (zero best).
Proof.
  intros Z Pos Near Hb Best Hl B Eta.
  assert (Least : forall t, lambda * L (zero best) <= r t + lambda * L t /\
    (r t + lambda * L t <= lambda * L (zero best) ->
     exists i, (i < q)%nat /\ t = zero i /\ L (zero i) = L (zero best))).
  { intros t. pose proof (Rmult_le_pos lambda (L t) (Rlt_le _ _ Hl) (Pos t)).
    destruct (Near t) as [F|[i [Hi [D0 [Same [G A]]]]]]; [split; [|intros]; lra|].
    apply not_below in A.
    pose proof (Rmult_le_compat_l lambda _ _ (Rlt_le _ _ Hl) A).
    pose proof (Rmult_le_compat_l lambda _ _ (Rlt_le _ _ Hl) (Best i Hi)).
    destruct (Req_EM_T (distance i t) 0) as [E|E].
    - rewrite (Same E) in *. rewrite (Z i Hi). split; [lra|]. intros Le.
      exists i. repeat split; auto. apply Rle_antisym; [|now apply Best].
      apply Rmult_le_reg_l with lambda; lra.
    - assert (P : 0 < distance i t) by lra. pose proof (Rmult_lt_compat_r _ _ _ P B).
      split; [|intros]; lra. }
  intros t. split.
  - intros M. apply (Least t). rewrite <- (Rplus_0_l (lambda * L (zero best))), <- (Z best Hb).
      apply M.
  - intros [i [Hi [-> E]]] t'. rewrite (Z i Hi), E, Rplus_0_l. apply Least.
Qed.

(* The two atoms of Lemma31.v: r = ||X - D Y||_F, L_q = L_1. *)
Definition penalised (lambda : R) (D Y : mat) : R :=
  sqrt (code_loss 2 2 two_samples 2 D Y) + lambda * code_loss 2 2 two_samples 1 D Y.

Lemma two_atoms_cases D Y : unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  let LK := code_loss 2 2 two_samples 2 D Y in let L1 := code_loss 2 2 two_samples 1 D Y in
  0 <= LK /\ ((2/5 <= LK /\ L1 = LK) \/ L1 = 2 \/
   (1 <= L1 /\ (Y 0%nat 0%nat = 0 /\ Y 1%nat 1%nat = 0 \/ Y 1%nat 0%nat = 0 /\ Y 0%nat 1%nat = 0))).
Proof.
  intros U S. split; [apply code_loss_nonneg|].
  pose proof (unit_in_the_plane 2 D 0 U ltac:(lia)) as N.
  destruct (one_code_or_the_other Y 0 (S 0%nat ltac:(lia))) as [E0|E0],
           (one_code_or_the_other Y 1 (S 1%nat ltac:(lia))) as [E1|E1].
  - right; left. numbers. rewrite E0, E1. lra.
  - right; right. split; [|auto]. numbers. rewrite E0.
    pose proof (Rle_0_sqr (3/5 - D 0%nat 0%nat * Y 0%nat 1%nat)).
    pose proof (Rle_0_sqr (4/5 - D 1%nat 0%nat * Y 0%nat 1%nat)). unfold Rsqr in *. lra.
  - right; right. split; [|auto]. numbers. rewrite E1.
    pose proof (Rle_0_sqr (1 - D 0%nat 0%nat * Y 0%nat 0%nat)).
    pose proof (Rle_0_sqr (D 1%nat 0%nat * Y 0%nat 0%nat)). unfold Rsqr in *. lra.
  - left. numbers. rewrite E0, E1. split; [|lra]. revert N.
    generalize (D 0%nat 0%nat) (D 1%nat 0%nat) (Y 0%nat 0%nat) (Y 0%nat 1%nat). intros a b u v N.
    assert (Nu : u * u * (a * a + b * b) = u * u) by (rewrite N; ring).
    assert (Nv : v * v * (a * a + b * b) = v * v) by (rewrite N; ring).
    pose proof (Rle_0_sqr (u - a)). pose proof (Rle_0_sqr (v - (3/5 * a + 4/5 * b))).
    pose proof (Rle_0_sqr (a - 2 * b)). unfold Rsqr in *. lra.
Qed.

Lemma on_its_atom D j k u : unit_norm 2 2 D -> (j < 2)%nat -> (k < 2)%nat ->
  (forall i, (i < 2)%nat -> two_atoms i k = D i j * u) -> parallel 2 (col D j) (col two_atoms k).
Proof.
  intros U Hj Hk H. pose proof (unit_in_the_plane 2 D j U Hj) as N.
  pose proof (unit_in_the_plane 2 _ k (true_atoms _ _ _ _ _ _ _ two_atoms_truth) Hk) as Nk.
  rewrite !H in Nk by lia.
  assert (Q : (u - 1) * (u + 1) = 0)
    by (replace ((u - 1) * (u + 1)) with (u * u * (D 0%nat j * D 0%nat j + D 1%nat j * D 1%nat j)
      - 1)
      by (rewrite N; ring); lra).
  apply Rmult_integral in Q as [Q|Q]; [left|right]; intros i Hi; unfold col; rewrite H by auto.
  - replace u with 1 by lra. ring.
  - replace u with (-1) by lra. ring.
Qed.

Lemma exact_recovers D Y : unit_norm 2 2 D -> code_loss 2 2 two_samples 2 D Y = 0 ->
  (Y 0%nat 0%nat = 0 /\ Y 1%nat 1%nat = 0 \/ Y 1%nat 0%nat = 0 /\ Y 0%nat 1%nat = 0) ->
  atoms_among 2 2 two_atoms D.
Proof.
  intros U Z H.
  assert (Sq : forall a b c e : R, a * a + b * b + (c * c + e * e) = 0 ->
    a = 0 /\ b = 0 /\ c = 0 /\ e = 0) by (intros; repeat split; nra).
  revert Z. numbers. intros Z. rewrite !Rplus_0_l in Z. apply Sq in Z as [Z0 [Z1 [Z2 Z3]]].
  destruct H as [[E0 E1]|[E0 E1]]; rewrite E0, E1 in *; intros j Hj; each j.
  - exists 1%nat. split; [lia|]. apply (on_its_atom D 0 1 (Y 0%nat 1%nat)); auto.
    intros i Hi; each i; numbers; lra.
  - exists 0%nat. split; [lia|]. apply (on_its_atom D 1 0 (Y 1%nat 0%nat)); auto.
    intros i Hi; each i; numbers; lra.
  - exists 0%nat. split; [lia|]. apply (on_its_atom D 0 0 (Y 0%nat 0%nat)); auto.
    intros i Hi; each i; numbers; lra.
  - exists 1%nat. split; [lia|]. apply (on_its_atom D 1 1 (Y 1%nat 1%nat)); auto.
    intros i Hi; each i; numbers; lra.
Qed.

Lemma root_of_two_fifths x : 2/5 <= x -> 3/5 < sqrt x.
Proof.
  intros H. rewrite <- (sqrt_square (3/5)) by lra. apply sqrt_lt_1; lra.
Qed.

Theorem two_atoms_by_exact_penalty lambda D Y : 0 < lambda <= 1 ->
  unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  penalised lambda two_atoms two_codes = lambda /\ lambda <= penalised lambda D Y /\
  (penalised lambda D Y = lambda ->
   code_loss 2 2 two_samples 2 D Y = 0 /\ atoms_among 2 2 two_atoms D).
Proof.
  intros Hl U S. destruct (two_atoms_cases D Y U S) as [P C]. simpl in P, C. split.
  - unfold penalised. rewrite (truth_full_loss _ _ _ _ _ _ _ two_atoms_truth), sqrt_0.
    replace (code_loss 2 2 two_samples 1 two_atoms two_codes) with 1 by (numbers; lra). ring.
  - unfold penalised.
    pose proof (sqrt_pos (code_loss 2 2 two_samples 2 D Y)) as Q.
    destruct C as [[B E]|[E|[B E]]].
    + pose proof (root_of_two_fifths _ B). rewrite E.
      pose proof (Rmult_le_compat_l lambda _ _ ltac:(lra) B). split; [|intros]; lra.
    + rewrite E. split; [|intros]; lra.
    + pose proof (Rmult_le_compat_l lambda _ _ ltac:(lra) B). split; [lra|]. intros F.
      assert (Z : code_loss 2 2 two_samples 2 D Y = 0) by (apply sqrt_eq_0; lra).
      split; auto. now apply (exact_recovers D Y).
Qed.
